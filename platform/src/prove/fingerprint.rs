//! Everything the victim sees of itself, before and after.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};

use super::{
    document::{Caller, Operation},
    wire::Request,
    world::{World, brief, without_the_fleeting},
};

/// Requests in flight.
const ABREAST: usize = 8;

/// Answers by request and caller.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fingerprint(BTreeMap<String, String>);

/// Reads everything that the victim's people can read: lists as everybody, single things as the owner.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn take(world: &World) -> anyhow::Result<Fingerprint> {
    let reads =
        world.document.operations.iter().filter(|operation| operation.is_safe() && operation.caller == Caller::Member);
    let mut requests = Vec::new();
    for operation in reads {
        for (number, person) in world.them.people.iter().enumerate() {
            let paths = paths(world, operation).into_iter().filter(|_| number == 0 || operation.ids() == 0);
            requests.extend(paths.map(|path| (person.role.as_str(), Request::get(path).by(&person.token))));
        }
    }
    let answers = stream::iter(requests).map(|(role, request)| async move {
        let answer = world.wire.send(&request).await?;
        let mut body = answer.json();
        without_the_fleeting(&mut body);
        anyhow::Ok((
            format!("{} as {role}", request.path),
            format!("{} {} {body}", answer.status, answer.header("etag")),
        ))
    });
    let answers: Vec<_> = answers.buffer_unordered(ABREAST).collect().await;
    Ok(Fingerprint(answers.into_iter().collect::<anyhow::Result<_>>()?))
}

fn paths(world: &World, operation: &Operation) -> Vec<String> {
    let list = if operation.query.iter().any(|name| name == "limit") { "?limit=100" } else { "" };
    match (operation.collection(), operation.ids()) {
        (None, _) => vec![format!("{}{list}", operation.path)],
        (Some(collection), 1) => {
            let ids = world.them.objects.of(collection).iter();
            ids.map(|id| format!("{}{list}", operation.path_with(std::slice::from_ref(id)))).collect()
        }
        _ => Vec::new(),
    }
}

impl Fingerprint {
    /// The first thing that differs.
    pub(super) fn difference(&self, later: &Self) -> Option<String> {
        self.0.iter().find_map(|(request, before)| {
            let after = later.0.get(request).map_or("nothing", String::as_str);
            (before != after).then(|| format!("{request}: {} became {}", brief(before), brief(after)))
        })
    }
}
