//! What `platform seed` wrote: settings for the product, and callers with their tokens.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::load::Request;

/// A seeded database.
#[derive(Clone, Debug, Deserialize)]
pub struct Seeded {
    /// Tenants whose throttle is wide open.
    pub tenants: u64,
    /// Rows of progress.
    pub progress: u64,
    /// Environment variables of the product.
    pub settings: BTreeMap<String, String>,
    /// The keys that verify the tokens.
    pub jwks: Value,
    /// Members to ask as.
    pub callers: Vec<Caller>,
    /// An owner of a tenant whose throttle is wide open: it may read everything.
    pub owner: Caller,
    /// One with the default limits, to ask for too much.
    pub noisy: Caller,
    /// One with the default limits, whose searches are slow.
    pub slow: Caller,
    /// One with the default limits.
    pub quiet: Caller,
}

/// A member with a token.
#[derive(Clone, Debug, Deserialize)]
pub struct Caller {
    /// The tenant.
    pub tenant: String,
    /// The member.
    pub member: String,
    /// The member's role.
    pub role: String,
    /// An ID token.
    pub token: String,
    /// Some of the tenant's videos.
    pub videos: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// One video.
    Point,
    /// 20 videos.
    Page,
    /// A signed URL.
    Stream,
    /// How far it was watched.
    Progress,
    /// The caller's own profile.
    Me,
    /// Their business.
    Tenant,
    /// What it has used.
    Usage,
    /// One member.
    Member,
    /// A page of them.
    Members,
    /// A page of invitations.
    Invitations,
}

impl Read {
    /// Every kind but two: an upload that is under way, which needs one and asks the object store, and the operators'.
    pub const ALL: [Self; 10] = [
        Self::Point,
        Self::Page,
        Self::Stream,
        Self::Progress,
        Self::Me,
        Self::Tenant,
        Self::Usage,
        Self::Member,
        Self::Members,
        Self::Invitations,
    ];

    /// Whether it is one of the hottest, which have a path to the database of their own.
    pub fn is_hot(self) -> bool {
        matches!(self, Self::Point | Self::Page | Self::Stream | Self::Progress)
    }

    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Page => "page",
            Self::Stream => "stream",
            Self::Progress => "progress",
            Self::Me => "me",
            Self::Tenant => "tenant",
            Self::Usage => "usage",
            Self::Member => "member",
            Self::Members => "members",
            Self::Invitations => "invitations",
        }
    }

    /// As requests spell it.
    pub fn path(self, caller: &Caller, video: &str) -> String {
        match self {
            Self::Point => format!("/api/v1/videos/{video}"),
            Self::Page => "/api/v1/videos?limit=20".to_owned(),
            Self::Stream => format!("/api/v1/videos/{video}/stream"),
            Self::Progress => format!("/api/v1/videos/{video}/progress"),
            Self::Me => "/api/v1/me".to_owned(),
            Self::Tenant => "/api/v1/tenant".to_owned(),
            Self::Usage => "/api/v1/usage".to_owned(),
            Self::Member => format!("/api/v1/members/{}", caller.member),
            Self::Members => "/api/v1/members?limit=20".to_owned(),
            Self::Invitations => "/api/v1/invitations?limit=20".to_owned(),
        }
    }
}

impl Seeded {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not there, or not `platform seed`'s.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not what `platform seed` writes", path.display()))
    }

    /// Many requests of one kind: every caller in turn, each time for another of their videos.
    pub fn requests(&self, read: Read) -> Vec<Request> {
        requests_of(&self.callers, read)
    }

    /// What members do all day: mostly looking and watching, some of it recorded.
    pub fn mixed(&self) -> Vec<Request> {
        let kinds = [Read::Point, Read::Page, Read::Point, Read::Stream, Read::Point, Read::Progress];
        let mut all = Vec::new();
        for (n, (caller, video)) in each(&self.callers).enumerate() {
            all.push(match kinds.get(n % 8) {
                Some(read) => Request::get(&read.path(caller, video), &caller.token),
                None if n % 8 == 6 => Request::get(&Read::Stream.path(caller, video), &caller.token),
                None => {
                    let path = Read::Progress.path(caller, video);
                    Request::post(&path, &caller.token, &json!({"position_seconds": n % 600}))
                }
            });
        }
        all
    }
}

/// Many requests of one kind by these callers in turn.
pub fn requests_of(callers: &[Caller], read: Read) -> Vec<Request> {
    each(callers).map(|(caller, video)| Request::get(&read.path(caller, video), &caller.token)).collect()
}

/// Every caller in turn, each time with another of their videos.
fn each(callers: &[Caller]) -> impl Iterator<Item = (&Caller, &str)> {
    const VIDEOS: usize = 40;
    (0..VIDEOS).flat_map(move |n| {
        callers.iter().enumerate().filter_map(move |(at, caller)| {
            // The step keeps neighbours in the list from asking for videos of the same age.
            let video = caller.videos.get((n + at * 7) % caller.videos.len().max(1))?;
            Some((caller, video.as_str()))
        })
    })
}
