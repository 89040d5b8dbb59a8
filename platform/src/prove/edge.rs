//! Signed URLs and stored objects: one's own signature on another's path, in every spelling that somebody on the way might
//! tidy up.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Method;
use tenants::proof::Verdict;

use super::{
    objects::{VIDEOS, announcement},
    people::{Business, Person},
    wire::{Answer, Request, Wire},
    world::World,
};

const GROUP: &str = "edge";
const STORAGE: &str = "storage";

/// A signed URL, taken apart.
struct Signed {
    /// `/videos/tenants/…/source.mp4`
    path: String,
    query: String,
}

impl Signed {
    fn read(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (path, query) = rest.get(rest.find('/')?..)?.split_once('?')?;
        Some(Self { path: path.to_owned(), query: query.to_owned() })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn with(&self, name: &str, value: &str) -> String {
        let changed = self.query.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if key == name => format!("{key}={value}"),
            _ => pair.to_owned(),
        });
        changed.collect::<Vec<_>>().join("&")
    }

    fn without(&self, name: &str) -> String {
        let kept = self.query.split('&').filter(|pair| !pair.starts_with(&format!("{name}=")));
        kept.collect::<Vec<_>>().join("&")
    }
}

/// Attacks the edge, if the deployment signs URLs of its own origin.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    let (Some(our_id), Some(their_id)) = (world.us.objects.of(VIDEOS).first(), world.them.objects.of(VIDEOS).first())
    else {
        world.left_out.note("signed URLs", "there are no videos");
        return Ok(());
    };
    let ours = streamed(world, world.us.owner(), our_id).await?;
    let theirs = streamed(world, world.them.owner(), their_id).await?;
    rightful(world, &world.us, &ours).await?;
    rightful(world, &world.them, &theirs).await?;
    let mut requests: Vec<Request> = Vec::new();
    for path in paths(&ours.path, &theirs.path) {
        requests.push(Request::get(format!("{path}?{}", ours.query)));
        requests.push(Request::get(path.clone()));
        requests.push(cookies(Request::get(path.clone()), &ours));
        requests.push(Request::get(format!("{path}?{}", ours.query)).header("Range", "bytes=0-99"));
    }
    for query in queries(&ours, &theirs) {
        requests.push(Request::get(format!("{}?{query}", theirs.path)));
        requests.push(Request::new(Method::HEAD, format!("{}?{query}", theirs.path)));
    }
    for method in [Method::PUT, Method::DELETE, Method::POST, Method::PATCH] {
        requests.push(Request::new(method.clone(), format!("{}?{}", theirs.path, ours.query)));
        requests.push(Request::new(method, format!("{}?{}", theirs.path, theirs.query)));
    }
    let attempts = stream::iter(requests).map(|request| attempt(world, request)).buffer_unordered(8);
    attempts.collect::<Vec<_>>().await.into_iter().collect::<anyhow::Result<()>>()?;
    remembered(world, &theirs).await?;
    // After all that, it is as it was.
    rightful(world, &world.them, &streamed(world, world.them.owner(), their_id).await?).await?;
    storage(world).await
}

/// Whether the victim's owner gets the bytes of their video.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn still_plays(world: &World) -> anyhow::Result<Result<(), String>> {
    let Some(id) = world.them.objects.of(VIDEOS).first() else { return Ok(Ok(())) };
    let signed = streamed(world, world.them.owner(), id).await?;
    let answer = world.wire.send_once(&Request::get(format!("{}?{}", signed.path, signed.query))).await?;
    Ok(match answer.is_success() && answer.bytes == world.them.objects.footage {
        true => Ok(()),
        false => Err(format!("{} {} bytes", answer.status, answer.bytes.len())),
    })
}

async fn streamed(world: &World, who: &Person, id: &str) -> anyhow::Result<Signed> {
    let request = Request::get(format!("{VIDEOS}/{id}/stream")).by(&who.token);
    let answer = world.wire.send(&request).await?.expect("streaming")?;
    answer["url"].as_str().and_then(Signed::read).context("a stream without a signed URL")
}

/// The rightful viewer gets the very bytes.
async fn rightful(world: &World, whose: &Business, signed: &Signed) -> anyhow::Result<()> {
    let request = Request::get(format!("{}?{}", signed.path, signed.query));
    let answer = world.wire.send_once(&request).await?;
    let verdict = match answer.is_success() && answer.bytes == whose.objects.footage {
        true => (Verdict::Held, answer.status.to_string()),
        // One's own URL that opens something else is worse than one that opens nothing.
        false if answer.is_success() => (Verdict::Leak, "it opens another object".to_owned()),
        false => (Verdict::Unproved, format!("{} {}", answer.status, answer.text())),
    };
    world.record(GROUP, "rightful viewers", format!("GET {} as {}", signed.path, whose.name), verdict.0, verdict.1);
    Ok(())
}

async fn attempt(world: &World, request: Request) -> anyhow::Result<()> {
    if world.ledger.is_over() {
        return Ok(());
    }
    match world.wire.send_once(&request).await {
        Ok(answer) => {
            let outcome = opened(&answer, &world.them.objects.footage);
            world.check(GROUP, "the other's object", request.text(), outcome);
        }
        Err(error) => {
            let twin = world.wire.send_once(&world.disguised(&request)).await;
            let (verdict, detail) = unanswered(&error, twin.err().as_ref());
            world.record(GROUP, "nobody's object", request.text(), verdict, detail);
        }
    }
    Ok(())
}

/// No answer is no refusal, unless nobody's object is not answered either: what can't be sent, or is cut off, for its form
/// alone. What takes too long proves nothing in any case.
fn unanswered(attack: &anyhow::Error, twin: Option<&anyhow::Error>) -> (Verdict, String) {
    let is_late = |error: &anyhow::Error| error.is::<tokio::time::error::Elapsed>();
    let verdict = match twin {
        Some(twin) if !is_late(attack) && !is_late(twin) => Verdict::Held,
        _ => Verdict::Unproved,
    };
    (verdict, format!("no answer: {attack:#}"))
}

/// Whether anything of the victim's object came back, or was done to it.
fn opened(answer: &Answer, footage: &Bytes) -> Result<String, String> {
    // A part of the object that only the other has; its beginning is the same for everybody.
    let mark = &footage[footage.len().saturating_sub(36)..];
    let is_theirs = !mark.is_empty() && answer.bytes.windows(mark.len()).any(|window| window == mark);
    let is_media = answer.header("content-type").starts_with("video/") || answer.status == 206;
    match answer.status {
        _ if is_theirs || is_media => Err(format!("{} {} bytes", answer.status, answer.bytes.len())),
        200..=299 => Err(format!("{} {}", answer.status, answer.text().chars().take(200).collect::<String>())),
        status => Ok(status.to_string()),
    }
}

/// The victim's object by every spelling of a path that begins like one's own.
fn paths(ours: &str, theirs: &str) -> Vec<String> {
    let below = |path: &str| path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned());
    let (our_folder, our_tenant) = (below(ours), below(&below(ours)));
    let tail = theirs.trim_start_matches('/');
    let (their_folder, file) = theirs.rsplit_once('/').unwrap_or((theirs, ""));
    let climb = |dots: &str, slash: &str| {
        let ups = format!("{dots}{slash}").repeat(our_folder.matches('/').count());
        [format!("{our_folder}/{ups}{tail}"), format!("{our_folder}{slash}{ups}{}", tail.replace('/', slash))]
    };
    let mut all = vec![
        theirs.to_owned(),
        theirs.to_uppercase(),
        theirs.replacen("/videos", "/Videos", 1),
        format!("/{theirs}"),
        theirs.replace('/', "//"),
        theirs.replacen("/videos/", "/videos/./", 1),
        format!("{theirs}."),
        format!("{theirs}.."),
        format!("{theirs}/"),
        format!("{theirs}%20"),
        format!("{theirs}%00"),
        format!("{theirs}%00.mp4"),
        format!("{theirs};{ours}"),
        format!("{theirs}%3f"),
        format!("{theirs}%23{ours}"),
        format!("{ours}/../{file}"),
        format!("{ours}%0a{theirs}"),
        format!("{our_folder}/{file}{theirs}"),
        format!("{our_tenant}{theirs}"),
        format!("{our_tenant}/..{}", theirs.trim_start_matches("/videos/tenants")),
        format!("{our_tenant}/%2e%2e{}", theirs.trim_start_matches("/videos/tenants")),
        theirs.replace('-', "%2d"),
        theirs.replace("tenants", "%74enants"),
        theirs.replacen('/', "/%2e/", 2),
        format!("{their_folder}%2f{file}"),
        format!("{their_folder}%5c{file}"),
        format!("{their_folder}/"),
        their_folder.to_owned(),
        format!("{}/*", below(their_folder)),
        "/videos/".to_owned(),
        "/videos/tenants/".to_owned(),
        format!("/videos/../{tail}"),
        format!("/assets/..%2f{tail}"),
        format!("/api/../{tail}"),
        format!("/progress-photos/..%2f{tail}"),
        format!("/%76ideos{}", theirs.trim_start_matches("/videos")),
    ];
    for dots in ["..", "%2e%2e", "%2E%2E", ".%2e", "%252e%252e", "..;", "%c0%ae%c0%ae", "..%00"] {
        for slash in ["/", "%2f", "%252f", "%5c", "\\"] {
            // A backslash can't be sent in a URL, but a client that believes it can would send it encoded.
            if slash != "\\" {
                all.extend(climb(dots, slash));
            }
        }
    }
    all
}

/// Queries for the victim's path, of one's own signature and pieces of it.
fn queries(ours: &Signed, theirs: &Signed) -> Vec<String> {
    let far = "4102444800";
    let policy = |resource: &str| {
        let text = format!(
            r#"{{"Statement":[{{"Resource":"{resource}","Condition":{{"DateLessThan":{{"AWS:EpochTime":{far}}}}}}}]}}"#
        );
        STANDARD.encode(text).replace('+', "-").replace('=', "_").replace('/', "~")
    };
    let signature = ours.parameter("Signature").unwrap_or_default();
    let key = ours.parameter("Key-Pair-Id").unwrap_or_default();
    let mut all = vec![
        ours.query.clone(),
        String::new(),
        ours.with("Expires", far),
        ours.with("Expires", "1"),
        theirs.with("Expires", far),
        theirs.with("Expires", "1"),
        theirs.with("Expires", "0"),
        theirs.with("Signature", signature),
        theirs.with("Key-Pair-Id", "K0000000000000"),
        theirs.with("Key-Pair-Id", ""),
        theirs.with("Hash-Algorithm", "SHA1"),
        theirs.with("Hash-Algorithm", "MD5"),
        theirs.with("Signature", ""),
        theirs.with("Signature", &"A".repeat(signature.len())),
        theirs.with("Signature", &signature.to_lowercase()),
        theirs.without("Signature"),
        theirs.without("Key-Pair-Id"),
        theirs.without("Expires"),
        format!("{}&{}", ours.query, theirs.without("Signature")),
        format!("{}&Expires={far}", theirs.query),
        format!("{}&versionId=null", ours.query),
        format!("%45xpires={far}&Signature={signature}&Key-Pair-Id={key}&Hash-Algorithm=SHA256"),
        format!("X-Amz-Signature={signature}&X-Amz-Expires=900"),
    ];
    let origin = "http*://*";
    for resource in ["*", "http*", origin, theirs.path.as_str(), "*/videos/*", ""] {
        all.push(format!("Policy={}&Signature={signature}&Key-Pair-Id={key}&Hash-Algorithm=SHA256", policy(resource)));
        all.push(format!("Policy={}&Signature={signature}&Key-Pair-Id={key}", policy(resource)));
    }
    all
}

/// The parameters as the cookies that players send.
fn cookies(request: Request, signed: &Signed) -> Request {
    let names = ["Policy", "Expires", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
    let pairs = names.iter().filter_map(|name| Some(format!("CloudFront-{name}={}", signed.parameter(name)?)));
    request.header("Cookie", &pairs.collect::<Vec<_>>().join("; "))
}

/// Both ask for the same video, and for their own, in quick succession: nobody is given what was signed for the other.
async fn remembered(world: &World, theirs: &Signed) -> anyhow::Result<()> {
    let us = world.attacker();
    for number in 0..60 {
        if world.ledger.is_over() {
            return Ok(());
        }
        let ids = (world.them.objects.of(VIDEOS), world.us.objects.of(VIDEOS));
        let (their_id, our_id) = (&ids.0[number % 2], &ids.1[number % 2]);
        let ask = |who: &Person, id: &str| {
            let request = Request::get(format!("{VIDEOS}/{id}/stream")).by(&who.token);
            async move { world.wire.send(&request).await }
        };
        let (_, stolen, own) = tokio::try_join!(ask(world.them.owner(), their_id), ask(us, their_id), ask(us, our_id))?;
        let outcome = match stolen.status {
            404 => Ok("404".to_owned()),
            status => Err(format!("{status} {}", stolen.text())),
        };
        world.check(GROUP, "the other's video behind its owner", format!("GET {VIDEOS}/{their_id}/stream"), outcome);
        let url = own.json()["url"].as_str().unwrap_or_default().to_owned();
        let outcome = match world.disguise.betrayed(&url, "") {
            None if url.contains(&world.us.tenant_id) && !url.contains(&theirs.path) => Ok(String::new()),
            _ => Err(format!("one's own stream is {}", url.split('?').next().unwrap_or_default())),
        };
        world.check(GROUP, "one's own video behind the other's", format!("GET {VIDEOS}/{our_id}/stream"), outcome);
    }
    Ok(())
}

/// A presigned upload of one's own, turned towards the victim's object.
async fn storage(world: &World) -> anyhow::Result<()> {
    let body = announcement("For the storage", world.them.objects.footage.len());
    let request = Request::new(Method::POST, VIDEOS).by(&world.attacker().token).json(&body);
    let made = world.wire.send(&request).await?.expect("adding a video")?;
    let Some(url) = made["upload"]["parts"][0]["url"].as_str().map(str::to_owned) else {
        world.left_out.note("presigned uploads", "an upload offers no URL");
        return Ok(());
    };
    let id = made["id"].as_str().unwrap_or_default();
    let their_id = world.them.objects.of(VIDEOS).first().cloned().unwrap_or_default();
    let turned = url.replace(&world.us.tenant_id, &world.them.tenant_id).replace(id, &their_id);
    let bare = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
    let host = Wire::to(&url.parse()?)?;
    let headers = &made["upload"]["parts"][0]["headers"];
    let bytes = Bytes::from(vec![0; world.them.objects.footage.len()]);
    for target in [turned.clone(), bare(&turned), url.replace(&world.us.tenant_id, &world.them.tenant_id)] {
        for method in [Method::PUT, Method::GET, Method::DELETE, Method::HEAD] {
            let answer = match method {
                Method::PUT => host.put(&target, headers, bytes.clone()).await?,
                _ => host.send_once(&Request::new(method.clone(), target.clone())).await?,
            };
            let outcome = if answer.is_success() {
                opened(&answer, &world.them.objects.footage)
            } else {
                Ok(answer.status.to_string())
            };
            let outcome = match outcome {
                Ok(_) if answer.is_success() && method != Method::HEAD => Err(answer.status.to_string()),
                other => other,
            };
            world.check(STORAGE, "a presigned upload", format!("{method} {}", bare(&target)), outcome);
        }
    }
    let remove = Request::new(Method::DELETE, format!("{VIDEOS}/{id}")).by(&world.attacker().token);
    world.wire.send(&remove).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::*;

    #[tokio::test]
    async fn no_answer_is_a_refusal_only_where_nobodys_object_has_none_either() {
        let elapsed = async || tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
        let late = async || {
            elapsed()
                .await
                .context("no answer in time")
                .context("GET /")
                .map_or_else(|late| late, |()| anyhow!("in time"))
        };
        let cut = || anyhow!("connection closed").context("GET /");
        for (attack, twin, verdict) in [
            (cut(), Some(cut()), Verdict::Held),
            (cut(), None, Verdict::Unproved),
            (late().await, Some(late().await), Verdict::Unproved),
            (late().await, None, Verdict::Unproved),
            (cut(), Some(late().await), Verdict::Unproved),
        ] {
            assert_eq!(unanswered(&attack, twin.as_ref()).0, verdict, "{attack:#}");
        }
    }
}
