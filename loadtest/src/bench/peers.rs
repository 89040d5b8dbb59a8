//! What people would use instead: the same two reads as services of their own, installed as their lock files say.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::Context;
use devstack::venv;

use super::{
    jwks,
    node::Node,
    process::{Process, output, service},
    stack::{Scale, Server, Stack, free_address},
};
use crate::seeded::Seeded;

/// PostgreSQL connections of all of a peer's processes together, as many as there are HTTP connections: none waits for
/// one.
const CONNECTIONS: usize = 32;

/// A peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Fastify,
    /// The same, remembering verified tokens as the platform does; for context.
    FastifyCached,
    FastApi,
}

impl Peer {
    pub(super) const ALL: [Self; 3] = [Self::Fastify, Self::FastifyCached, Self::FastApi];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fastify => "fastify",
            Self::FastifyCached => "fastify-cached",
            Self::FastApi => "fastapi",
        }
    }

    /// Installs it if it is not, and starts one process for each processor that it may use.
    pub(super) async fn start(self, stack: &Stack, scale: Scale, seeded: &Seeded) -> anyhow::Result<Server> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let addr = free_address()?;
        let workers = stack.processors;
        let setting = |name: &str| seeded.settings.get(name).cloned().with_context(|| format!("{name} was not seeded"));
        let environment: BTreeMap<String, String> = [
            ("PORT", addr.port().to_string()),
            ("DATABASE_URL", stack.app_url(scale.name)),
            ("CONNECTIONS", (CONNECTIONS / workers).max(1).to_string()),
            ("WORKERS", workers.to_string()),
            ("ISSUER", setting("FFP_MEMBERS_ISSUER")?),
            ("AUDIENCE", setting("FFP_MEMBERS_CLIENT_ID")?),
            ("JWKS_URL", jwks::serve(&seeded.jwks).await?),
            ("TOKEN_CACHE", u8::from(self == Self::FastifyCached).to_string()),
            ("NODE_ENV", "production".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut command = match self {
            Self::Fastify | Self::FastifyCached => {
                let node = Node::find().await?;
                let mut command = service(&node.program, workers)?;
                command.arg(fastify(&node, &sources.join("fastify"))?.join("server.js"));
                command
            }
            Self::FastApi => {
                let python = venv::ensure(include_str!("../../peers/fastapi/requirements.txt")).await?;
                let mut command = service(&python, workers)?;
                command
                    .args(["-I", "-B", "-m", "uvicorn", "app:app", "--app-dir"])
                    .arg(sources.join("fastapi"))
                    .args(["--port", &addr.port().to_string(), "--workers", &workers.to_string()])
                    .args(["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]);
                command
            }
        };
        let process = Process::start(self.name(), &mut command, environment, &stack.log(self.name()))?;
        Server::ready(self.name(), addr, process, seeded)
    }
}

/// A folder with the sources and what they depend on, installed once for each lock file.
fn fastify(node: &Node, sources: &Path) -> anyhow::Result<PathBuf> {
    let lock = sources.join("package-lock.json");
    let lock_text = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let mut hasher = DefaultHasher::new();
    (lock_text, &node.version).hash(&mut hasher);
    let home = venv::cache_dir()?.join(format!("fastify-{:016x}", hasher.finish()));
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    for name in ["package.json", "package-lock.json", "server.js", "caller.js", "database.js", "videos.js"] {
        fs::copy(sources.join(name), home.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let finished = home.join("node_modules/.installed");
    if !finished.exists() {
        super::say("installing Fastify, pg and jose, once");
        let npm = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
        output("npm", node.npm().args(npm).current_dir(&home))?;
        fs::write(&finished, "")?;
    }
    Ok(home)
}
