//! A seccomp filter that leaves a process without network, as a value. seccomp(2), bpf(4).
//!
//! The program is judged by what it is *refused*: sockets of families that lead out of the
//! container, and everything by which it could come to one otherwise. What a 32-bit program asks
//! for is judged by the numbers of its own kind of system call; a kind that is not known here is
//! not judged but killed.

use libc::{
    AF_ALG, AF_NETLINK, AF_UNIX, BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD,
    BPF_RET, BPF_W, EAFNOSUPPORT, ENOSYS, EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS, c_int, sock_filter,
};

/// Where `struct seccomp_data` has its fields, in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the first argument; all architectures below are little-endian.
const FIRST_ARGUMENT: u32 = 16;

/// Families that end in this kernel: other processes of the container by file or pair, questions
/// to the kernel, its cryptography. Abstract sockets cannot be told from sockets of files here.
const FAMILIES: [c_int; 3] = [AF_UNIX, AF_NETLINK, AF_ALG];

/// `socketcall` of old 32-bit programs hides its arguments in memory; its first tells the call.
const SOCKETCALL_SOCKET: u32 = 1;

/// The bit by which x86-64 programs with 32-bit pointers (x32) mark their calls.
const X32: u32 = 0x4000_0000;

/// The same everywhere: numbers of calls younger than 2019.
const IO_URING_SETUP: u32 = 425;
const PIDFD_GETFD: u32 = 438;

/// How the programs of one architecture call the kernel.
struct Abi {
    /// `AUDIT_ARCH_…` of linux/audit.h.
    architecture: u32,
    /// Bits of the number that do not count.
    ignored: u32,
    socket: u32,
    socketpair: u32,
    socketcall: Option<u32>,
}

const ABIS: [Abi; 5] = [
    // x86-64, x32
    Abi {
        architecture: 0xc000_003e,
        ignored: X32,
        socket: 41,
        socketpair: 53,
        socketcall: None,
    },
    // i386
    Abi {
        architecture: 0x4000_0003,
        ignored: 0,
        socket: 359,
        socketpair: 360,
        socketcall: Some(102),
    },
    // arm64
    Abi {
        architecture: 0xc000_00b7,
        ignored: 0,
        socket: 198,
        socketpair: 199,
        socketcall: None,
    },
    // arm
    Abi {
        architecture: 0x4000_0028,
        ignored: 0,
        socket: 281,
        socketpair: 288,
        socketcall: Some(102),
    },
    // riscv64
    Abi {
        architecture: 0xc000_00f3,
        ignored: 0,
        socket: 198,
        socketpair: 199,
        socketcall: None,
    },
];

/// The filter.
///
/// | asked for | answer |
/// |---|---|
/// | a socket or pair of another family than [`FAMILIES`] | `EAFNOSUPPORT`, as on a kernel built without it: programs that can do without go on |
/// | `io_uring_setup` (a ring opens sockets without this filter) | `ENOSYS`, as on an older kernel |
/// | `pidfd_getfd` (takes a socket from another process) | `EPERM` |
/// | anything, by a program of an unknown architecture | death by SIGSYS |
pub(crate) fn without_network() -> Vec<sock_filter> {
    let mut program = vec![load(ARCHITECTURE)];
    for abi in &ABIS {
        let body = body(abi);
        program.push(unless(abi.architecture, body.len()));
        program.extend(body);
    }
    program.push(answer(SECCOMP_RET_KILL_PROCESS));
    program
}

fn body(abi: &Abi) -> Vec<sock_filter> {
    let mut body = vec![load(NUMBER)];
    if abi.ignored != 0 {
        body.push(instruction(BPF_ALU | BPF_AND | BPF_K, !abi.ignored, 0, 0));
    }
    for call in [abi.socket, abi.socketpair] {
        let check = check_family();
        body.push(unless(call, check.len()));
        body.extend(check);
    }
    for (call, errno) in [(IO_URING_SETUP, ENOSYS), (PIDFD_GETFD, EPERM)] {
        body.extend([unless(call, 1), refuse(errno)]);
    }
    if let Some(call) = abi.socketcall {
        let check = [
            load(FIRST_ARGUMENT),
            unless(SOCKETCALL_SOCKET, 1),
            refuse(EAFNOSUPPORT),
        ];
        body.push(unless(call, check.len()));
        body.extend(check);
    }
    body.push(answer(SECCOMP_RET_ALLOW));
    body
}

/// Ends with an answer, so that nothing falls through.
fn check_family() -> Vec<sock_filter> {
    let mut check = vec![load(FIRST_ARGUMENT)];
    for family in FAMILIES {
        check.extend([unless(family.unsigned_abs(), 1), answer(SECCOMP_RET_ALLOW)]);
    }
    check.push(refuse(EAFNOSUPPORT));
    check
}

pub(crate) fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

/// Skips the next `length` instructions unless what was loaded is `value`.
pub(crate) fn unless(value: u32, length: usize) -> sock_filter {
    // Longest is the part of one architecture, some thirty instructions.
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    instruction(BPF_JMP | BPF_JEQ | BPF_K, value, 0, length)
}

fn refuse(errno: c_int) -> sock_filter {
    answer(SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

pub(crate) fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, value, 0, 0)
}

pub(crate) fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // All codes of classic BPF fit.
    let code = u16::try_from(code).unwrap_or(u16::MAX);
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a filter, as far as ours goes.
    fn judge(program: &[sock_filter], architecture: u32, number: u32, first: u32) -> u32 {
        let mut accumulator = 0_u32;
        let mut at = 0;
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    accumulator = match step.k {
                        0 => number,
                        4 => architecture,
                        16 => first,
                        other => panic!("no field at {other}"),
                    }
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= step.k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    let skip = if accumulator == step.k {
                        step.jt
                    } else {
                        step.jf
                    };
                    at += usize::from(skip);
                }
                code if code == BPF_RET | BPF_K => return step.k,
                code => panic!("no instruction {code:#x}"),
            }
        }
    }

    const ALLOWED: u32 = SECCOMP_RET_ALLOW;

    fn refused(errno: c_int) -> u32 {
        SECCOMP_RET_ERRNO | errno.unsigned_abs()
    }

    /// Name, `AUDIT_ARCH_…`, numbers of socket, socketpair, socketcall and an innocent call.
    type Calls = (&'static str, u32, u32, u32, Option<u32>, u32);

    const CALLS: [Calls; 6] = [
        ("x86-64", 0xc000_003e, 41, 53, None, 1),
        (
            "x32",
            0xc000_003e,
            0x4000_0029,
            0x4000_0035,
            None,
            0x4000_0001,
        ),
        ("i386", 0x4000_0003, 359, 360, Some(102), 4),
        ("arm64", 0xc000_00b7, 198, 199, None, 64),
        ("arm", 0x4000_0028, 281, 288, Some(102), 4),
        ("riscv64", 0xc000_00f3, 198, 199, None, 64),
    ];

    #[test]
    fn families_that_lead_out_are_refused_in_every_kind_of_call_t_run_08() {
        let program = without_network();
        // AF_INET, AF_INET6, AF_PACKET, AF_TIPC, AF_BLUETOOTH, AF_VSOCK, AF_XDP, none
        let outside = [2, 10, 17, 30, 31, 40, 44, 0, u32::MAX];
        for (name, architecture, socket, socketpair, _, _) in CALLS {
            for call in [socket, socketpair] {
                for family in outside {
                    let found = judge(&program, architecture, call, family);
                    assert_eq!(found, refused(EAFNOSUPPORT), "{name} {call} {family}");
                }
                for family in [1, 16, 38] {
                    let found = judge(&program, architecture, call, family);
                    assert_eq!(found, ALLOWED, "{name} {call} {family}");
                }
            }
        }
    }

    #[test]
    fn there_is_no_other_way_to_a_socket() {
        let program = without_network();
        for (name, architecture, _, _, socketcall, innocent) in CALLS {
            let bit = innocent & X32;
            let found = |call, first| judge(&program, architecture, call | bit, first);
            assert_eq!(found(425, 8), refused(ENOSYS), "{name} io_uring_setup");
            assert_eq!(found(438, 8), refused(EPERM), "{name} pidfd_getfd");
            assert_eq!(found(innocent, 2), ALLOWED, "{name}");
            if let Some(call) = socketcall {
                assert_eq!(found(call, 1), refused(EAFNOSUPPORT), "{name} SYS_SOCKET");
                // SYS_CONNECT on what is open already.
                assert_eq!(found(call, 3), ALLOWED, "{name} socketcall");
            }
        }
    }

    #[test]
    fn a_program_of_an_unknown_architecture_is_killed_whatever_it_asks() {
        let program = without_network();
        for architecture in [0, 8, 0x8000_0016, u32::MAX] {
            let found = judge(&program, architecture, 1, 1);
            assert_eq!(found, SECCOMP_RET_KILL_PROCESS, "{architecture:#x}");
        }
    }

    #[test]
    fn no_part_is_longer_than_a_jump_reaches() {
        for abi in &ABIS {
            assert!(body(abi).len() < usize::from(u8::MAX));
        }
    }
}
