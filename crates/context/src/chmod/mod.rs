//! `--chmod`: octal, or symbolic as BSD's `setmode` reads it.

use kigumi_layer::Mode;

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const USER: u32 = 0o700;
const GROUP: u32 = 0o070;
const OTHER: u32 = 0o007;
/// All that a clause may change unless it names `t`.
const STANDARD: u32 = SET_USER | SET_GROUP | USER | GROUP | OTHER;
const ANY_EXECUTE: u32 = 0o111;
/// What a clause without `u`, `g`, `o`, `a` leaves alone. COMPAT(buildkit): fixed, whatever umask the builder has.
const UMASK: u32 = 0o022;

/// The meaning of a `--chmod`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chmod {
    /// These permissions, for everything copied and for implied directories.
    Octal(Mode),
    /// A change of the permissions that the source has. Implied directories are 0755.
    Symbolic(Symbolic),
}

/// A symbolic mode whose syntax is known to be valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbolic(Vec<Action>);

/// A `--chmod` that is neither octal up to 07777 nor symbolic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--chmod `{written}`: neither an octal mode up to 07777 nor a symbolic one")]
pub struct InvalidChmod {
    /// As written.
    pub written: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Action {
    /// The bits that the classes before the operator cover; 0 when there are none.
    who: u32,
    operator: Operator,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Add,
    Remove,
    Assign,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// These bits.
    Bits(u32),
    /// `X`: execution, for directories and for what somebody may execute already.
    ExecuteIfAny,
    /// `u`, `g`, `o`: what that class has.
    Copy(u32),
}

impl Chmod {
    /// Reads a `--chmod`.
    ///
    /// # Errors
    /// [`InvalidChmod`].
    pub fn parse(written: &str) -> Result<Self, InvalidChmod> {
        let invalid = || InvalidChmod {
            written: written.to_owned(),
        };
        if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
            return match u32::from_str_radix(written, 8) {
                Ok(bits @ 0..=0o7777) => Ok(Self::Octal(Mode::new(bits))),
                Ok(_) | Err(_) => Err(invalid()),
            };
        }
        parse_symbolic(written)
            .map(|actions| Self::Symbolic(Symbolic(actions)))
            .ok_or_else(invalid)
    }

    /// The permissions of something that had `mode`. Links are not asked about: they have none of their own.
    pub fn apply(&self, mode: Mode, is_directory: bool) -> Mode {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(Symbolic(actions)) => {
                let executable = is_directory || mode.bits() & ANY_EXECUTE != 0;
                let changed = actions.iter().fold(mode.bits(), |bits, action| {
                    apply_action(*action, bits, executable)
                });
                Mode::new(changed)
            }
        }
    }

    /// The permissions of directories that the destination implies: an octal mode without its upper three bits, which `mkdir` does not take.
    pub fn implied_directory(&self) -> Mode {
        match self {
            Self::Octal(mode) => Mode::new(mode.bits() & 0o777),
            Self::Symbolic(_) => Mode::DIRECTORY,
        }
    }
}

fn parse_symbolic(written: &str) -> Option<Vec<Action>> {
    let mut actions = Vec::new();
    for clause in written.split(',') {
        let operators = clause.find(['+', '-', '='])?;
        let (classes, mut rest) = clause.split_at_checked(operators)?;
        let who = classes.chars().try_fold(0, |who, class| {
            Some(
                who | match class {
                    'u' => SET_USER | USER,
                    'g' => SET_GROUP | GROUP,
                    'o' => OTHER,
                    'a' => STANDARD,
                    _ => return None,
                },
            )
        })?;
        while let Some(operator) = rest.chars().next() {
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, character)| matches!(character, '+' | '-' | '='))
                .map_or(rest.len(), |(at, _)| at);
            let (this, next) = rest.split_at_checked(end)?;
            rest = next;
            parse_operation(who, operator, this.get(1..)?, &mut actions)?;
        }
    }
    Some(actions)
}

/// One operator and the permissions after it.
fn parse_operation(
    who: u32,
    operator: char,
    permissions: &str,
    actions: &mut Vec<Action>,
) -> Option<()> {
    let operator = match operator {
        '+' => Operator::Add,
        '-' => Operator::Remove,
        '=' => Operator::Assign,
        _ => return None,
    };
    // Set-id and sticky mean nothing where only `o` is named.
    let only_others = who != 0 && who & !OTHER == 0;
    let mut who = who;
    let mut bits = 0;
    let mut conditional = false;
    let mut copied = Vec::new();
    for permission in permissions.chars() {
        match permission {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= ANY_EXECUTE,
            'X' => conditional = true,
            's' | 't' if only_others => {}
            's' => bits |= SET_USER | SET_GROUP,
            't' => {
                bits |= STICKY;
                if who != 0 {
                    who |= STICKY;
                }
            }
            'u' => copied.push(USER),
            'g' => copied.push(GROUP),
            'o' => copied.push(OTHER),
            _ => return None,
        }
    }
    let mut push = |operator, what| {
        actions.push(Action {
            who,
            operator,
            what,
        });
    };
    // `=` first clears, so it comes even with nothing to set; what else the clause lists is then added.
    let following = match operator {
        Operator::Assign => Operator::Add,
        Operator::Add | Operator::Remove => operator,
    };
    match (operator, copied.split_first()) {
        (Operator::Assign, Some((class, more))) if bits == 0 => {
            push(Operator::Assign, What::Copy(*class));
            for class in more {
                push(following, What::Copy(*class));
            }
        }
        _ => {
            if bits != 0 || operator == Operator::Assign {
                push(operator, What::Bits(bits));
            }
            for class in &copied {
                push(following, What::Copy(*class));
            }
        }
    }
    if conditional {
        push(following, What::ExecuteIfAny);
    }
    Some(())
}

fn apply_action(action: Action, mode: u32, executable: bool) -> u32 {
    let wanted = match action.what {
        What::Bits(bits) => bits,
        What::ExecuteIfAny if executable => ANY_EXECUTE,
        What::ExecuteIfAny => 0,
        What::Copy(class) => spread(mode, class),
    };
    let (cleared, reach) = match action.who {
        0 => (STANDARD, !UMASK),
        who => (who, who),
    };
    match action.operator {
        Operator::Add => mode | (wanted & reach),
        Operator::Remove => mode & !(wanted & reach),
        Operator::Assign => (mode & !cleared) | (wanted & reach),
    }
}

/// What `class` has, for all three classes.
fn spread(mode: u32, class: u32) -> u32 {
    let value = match class {
        USER => mode >> 6,
        GROUP => mode >> 3,
        _ => mode,
    } & 0o7;
    value * 0o111
}

#[cfg(test)]
mod tests;
