//! The variables that the real binary demands are those that `infra/settings.json` says it does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::{run, said, shared};

#[derive(Deserialize)]
struct Settings {
    variables: BTreeMap<String, Variable>,
}

#[derive(Deserialize)]
struct Variable {
    commands: BTreeSet<String>,
    required_by: BTreeSet<String>,
    needs: BTreeMap<String, BTreeSet<String>>,
}

/// What a command calls missing.
async fn missed(command: &str, environment: &HashMap<String, String>) -> BTreeSet<String> {
    let output = run(command, environment).await;
    assert!(!output.status.success(), "{command} runs on");
    let said = said(&output);
    let names = said.lines().filter_map(|line| line.trim().split_once(" is missing"));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test]
async fn a_command_demands_what_it_is_said_to_need_and_nothing_else() {
    let settings: Settings = shared("settings.json");
    for command in ["api", "worker", "migrate"] {
        let required: BTreeSet<String> = settings
            .variables
            .iter()
            .filter(|(_, variable)| variable.required_by.contains(command))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!required.is_empty());
        assert_eq!(missed(command, &HashMap::new()).await, required, "{command}");
        for (name, variable) in &settings.variables {
            let Some(needs) = variable.needs.get(command) else {
                continue;
            };
            let environment = [(name.clone(), "x".to_owned())].into();
            let missed = missed(command, &environment).await;
            // Where secrets are named, what is in them comes later.
            assert!(needs.is_subset(&missed), "{command} with {name}: {missed:?}");
        }
    }
}

#[test]
fn no_command_needs_what_it_does_not_read() {
    let settings: Settings = shared("settings.json");
    for (name, Variable { commands, required_by, needs }) in &settings.variables {
        assert!(!commands.is_empty() && required_by.is_subset(commands), "{name}");
        for (command, needed) in needs {
            assert!(commands.contains(command), "{name}");
            assert!(needed.iter().all(|other| settings.variables[other].commands.contains(command)), "{name}");
        }
    }
}
