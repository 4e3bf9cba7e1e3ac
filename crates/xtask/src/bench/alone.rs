//! What the RUN commands of a Dockerfile are, and the image that they find when nobody builds: how long they take by themselves is no builder's merit.

use anyhow::{Result, ensure};

/// A stage with RUN commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// The stage without its RUNs: files of the context in place, and everything else.
    pub(super) dockerfile: String,
    /// What its RUNs run, in order.
    pub(super) commands: Vec<String>,
}

/// The stages of a Dockerfile of ours that run something.
///
/// # Errors
/// For what would make a command see other files than in the build: flags of COPY and RUN.
pub(super) fn stages(dockerfile: &str) -> Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    for line in dockerfile.replace("\\\n", "").lines() {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        if instruction == "FROM" {
            stages.push(Stage {
                dockerfile: String::new(),
                commands: Vec::new(),
            });
        }
        let Some(stage) = stages.last_mut() else {
            continue;
        };
        if instruction == "RUN" {
            ensure!(!rest.starts_with("--") && !rest.contains("<<"), "{line}");
            stage.commands.push(rest.to_owned());
        } else {
            stage.dockerfile.push_str(line);
            stage.dockerfile.push('\n');
        }
    }
    stages.retain(|stage| !stage.commands.is_empty());
    for stage in &stages {
        ensure!(!stage.dockerfile.contains("--from"), "{}", stage.dockerfile);
    }
    Ok(stages)
}

/// Runs each of its arguments with a shell of its own, as RUN does, and says how many nanoseconds each took.
pub(super) const SCRIPT: &str = r#"for command in "$@"; do
  start=$(date +%s%N); /bin/sh -c "$command" || exit 1; echo "kigumi-bench: $(($(date +%s%N) - start))"
done"#;

/// The nanoseconds that [`SCRIPT`] says.
pub(super) fn nanoseconds(said: &str) -> Vec<u64> {
    let lines = said.lines();
    lines
        .filter_map(|line| line.split_once("kigumi-bench: ")?.1.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_without_its_runs_is_what_the_runs_find() {
        let text = "FROM a AS x\nCOPY one /one\nRUN first && \\\n    second\nENV A=b\nRUN third\n\
            FROM scratch\nCOPY --from=x /one /two\n";
        let expected = Stage {
            dockerfile: "FROM a AS x\nCOPY one /one\nENV A=b\n".to_owned(),
            commands: vec!["first &&     second".to_owned(), "third".to_owned()],
        };
        assert_eq!(stages(text).unwrap(), [expected]);
    }

    #[test]
    fn commands_that_need_more_than_the_context_are_refused() {
        for text in [
            "FROM a\nRUN --mount=type=cache,target=/c x\n",
            "FROM a\nRUN <<E\nx\nE\n",
            "FROM a\nCOPY --from=b /x /y\nRUN x\n",
        ] {
            stages(text).unwrap_err();
        }
    }

    #[test]
    fn times_are_found_between_what_commands_say() {
        let said = "Setting up x\nkigumi-bench: 12\nno end of linekigumi-bench: 3\n";
        assert_eq!(nanoseconds(said), [12, 3]);
    }
}
