//! Settings that are secret, from AWS Secrets Manager.
//!
//! `FFP_SECRET_IDS` lists secrets, each a JSON object whose members are names of environment variables. They are
//! fetched once, at start; what the process's own environment says wins. Nothing of them is logged.

use std::collections::HashMap;

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{AwsConfig, ConfigError, Reader};

const IDS: &str = "FFP_SECRET_IDS";

/// All settings: the process's own and the fetched ones.
pub struct Variables<Process> {
    process: Process,
    fetched: HashMap<String, SecretString>,
}

impl<Process: Fn(&str) -> Option<String>> Variables<Process> {
    /// Fetches what `FFP_SECRET_IDS` names, in the region and at the endpoint that `process` gives.
    ///
    /// # Errors
    /// A secret that can't be had or read, or settings of AWS that are missing.
    pub async fn load(process: Process) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&process);
        let sources = Sources::section(&mut reader);
        let Some(Sources { ids, aws }) = reader.finish(sources)? else {
            return Ok(Self { process, fetched: HashMap::new() });
        };
        let client = Client::new(&aws.sdk().await);
        let mut fetched = HashMap::new();
        let mut bad = Vec::new();
        for id in &ids {
            match fetch(&client, id).await.and_then(|text| merge(&mut fetched, id, &text)) {
                Ok(()) => {}
                Err(error) => bad.extend(error.0),
            }
        }
        if bad.is_empty() { Ok(Self { process, fetched }) } else { Err(ConfigError(bad)) }
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<String> {
        let own = (self.process)(name).filter(|value| !value.trim().is_empty());
        own.or_else(|| self.fetched.get(name).map(|value| value.expose_secret().to_owned()))
    }
}

/// Which secrets there are, and how they are reached.
pub(crate) struct Sources {
    ids: Vec<String>,
    aws: AwsConfig,
}

impl Sources {
    /// Reads the section; all is well without secrets.
    pub(crate) fn section(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let ids = reader.list(IDS);
        if ids.is_empty() {
            return Some(None);
        }
        let aws = AwsConfig::read(reader);
        Some(Some(Self { ids, aws: aws? }))
    }
}

async fn fetch(client: &Client, id: &str) -> Result<SecretString, ConfigError> {
    let refuse = |wrong: String| ConfigError::one(IDS, wrong, "name secrets that exist and that this process may read");
    let answer = client.get_secret_value().secret_id(id).send().await;
    let answer = answer
        .map_err(|error| refuse(format!("names `{id}`, which can't be had ({})", DisplayErrorContext(&error))))?;
    let text = answer.secret_string().ok_or_else(|| refuse(format!("names `{id}`, which holds bytes")))?;
    Ok(text.to_owned().into())
}

/// Adds a secret's members. A name that two secrets give is refused: which one counts would depend on their order.
fn merge(fetched: &mut HashMap<String, SecretString>, id: &str, text: &SecretString) -> Result<(), ConfigError> {
    let refuse = |wrong: String| ConfigError::one(IDS, wrong, "a secret is a JSON object of variables and their texts");
    // The parser's own message would repeat parts of the secret.
    let members: HashMap<String, String> = serde_json::from_str(text.expose_secret())
        .map_err(|_| refuse(format!("names `{id}`, which is no JSON object of texts")))?;
    for (name, value) in members {
        if fetched.insert(name.clone(), value.into()).is_some() {
            return Err(refuse(format!("names `{id}`, which gives {name} as another secret does")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables(secret: &str) -> Variables<impl Fn(&str) -> Option<String>> {
        let mut fetched = HashMap::new();
        merge(&mut fetched, "ffp/test", &secret.to_owned().into()).unwrap();
        Variables {
            process: |name: &str| {
                (name == "FFP_A" || name == "FFP_B").then(|| if name == "FFP_A" { "own" } else { " " }.to_owned())
            },
            fetched,
        }
    }

    #[test]
    fn the_process_environment_wins_over_a_secret_unless_it_is_empty() {
        let variables = variables(r#"{"FFP_A": "secret", "FFP_B": "secret", "FFP_C": "secret"}"#);
        assert_eq!(variables.get("FFP_A").unwrap(), "own");
        assert_eq!(variables.get("FFP_B").unwrap(), "secret");
        assert_eq!(variables.get("FFP_C").unwrap(), "secret");
        assert_eq!(variables.get("FFP_D"), None);
    }

    #[test]
    fn a_secret_that_is_no_object_of_texts_is_refused_without_repeating_it() {
        for text in ["hunter2", r#"["hunter2"]"#, r#"{"FFP_A": {"hunter2": 1}}"#, r#"{"FFP_A": 5}"#] {
            let error = merge(&mut HashMap::new(), "ffp/test", &text.to_owned().into()).unwrap_err().to_string();
            assert!(error.contains("ffp/test") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn two_secrets_that_give_the_same_variable_are_refused() {
        let mut fetched = HashMap::new();
        merge(&mut fetched, "one", &r#"{"FFP_A": "1"}"#.to_owned().into()).unwrap();
        let error = merge(&mut fetched, "two", &r#"{"FFP_A": "2"}"#.to_owned().into()).unwrap_err();
        assert!(error.to_string().contains("FFP_A"));
    }

    #[tokio::test]
    async fn without_secret_ids_nothing_is_asked_of_aws() {
        let variables = Variables::load(|name: &str| (name == "FFP_A").then(|| "a".to_owned())).await.unwrap();
        assert_eq!(variables.get("FFP_A").unwrap(), "a");
    }

    #[tokio::test]
    async fn secret_ids_without_a_region_say_what_is_missing() {
        let error = Variables::load(|name: &str| (name == IDS).then(|| "ffp/x".to_owned())).await.err().unwrap();
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }
}
