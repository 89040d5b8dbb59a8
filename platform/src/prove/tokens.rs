//! Tokens that are not quite somebody's, while the real ones are remembered; and a member whose token names another tenant.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tenants::{Role, proof::Verdict};
use uuid::Uuid;

use super::{wire::Request, world::World};

const GROUP: &str = "tokens";
const STANDING: &str = "standing";
/// What is asked with a token.
const PATHS: [&str; 3] = ["/api/v1/me", "/api/v1/tenant", "/api/v1/videos"];

/// Forged, cut and spliced tokens. Each is sent right behind the real ones, so that whatever remembers these is warm.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn attack(world: &World) -> anyhow::Result<()> {
    // Those in force: what is refused must be refused for what was changed.
    let ours = world.wire.in_force(&world.attacker().token).await;
    let theirs = world.wire.in_force(&world.them.owner().token).await;
    let forged = forgeries(&ours, &theirs, world);
    for (what, token) in &forged {
        if world.ledger.is_over() {
            return Ok(());
        }
        for path in PATHS {
            for real in [&ours, &theirs] {
                world.wire.send(&Request::get(path).by(real)).await?;
            }
            let answer = world.wire.send(&Request::get(path).by(token)).await?;
            let text = answer.text();
            let outcome = match answer.status {
                401 if world.disguise.betrayed(&text, "").is_none() => Ok("401".to_owned()),
                status => Err(format!("{status} {text}")),
            };
            world.check(GROUP, what, format!("GET {path} with the token {}", shown(token)), outcome);
        }
    }
    // Two real ones in turns: each is answered its own.
    let turns = (0..200).map(|number| async move {
        let side = if number % 2 == 0 { &world.us } else { &world.them };
        let person = &side.people[number % side.people.len()];
        let answer = world.wire.send(&Request::get("/api/v1/me").by(&person.token)).await?;
        let me = answer.json();
        let right = me["id"] == json!(person.member_id) && me["tenant_id"] == json!(side.tenant_id);
        let outcome = if right { Ok(String::new()) } else { Err(format!("{} {}", answer.status, answer.text())) };
        let who = format!("{} of {}", person.role.as_str(), side.name);
        world.check(GROUP, "two tenants in turns", format!("GET /api/v1/me by the {who} ({number})"), outcome);
        anyhow::Ok(())
    });
    let mut turns = stream::iter(turns).buffer_unordered(8);
    while let Some(outcome) = turns.next().await {
        outcome?;
    }
    Ok(())
}

/// Every token that must not be believed.
fn forgeries(ours: &str, theirs: &str, world: &World) -> Vec<(String, String)> {
    let (our_parts, their_parts) = (parts(ours), parts(theirs));
    let [header, payload, signature] = &our_parts;
    let claim = |name: &str, value: Value| {
        let mut claims = decoded(payload);
        claims[name] = value;
        format!("{header}.{}.{signature}", encoded(&claims))
    };
    let with_header = |name: &str, value: Value| {
        let mut head = decoded(header);
        head[name] = value;
        format!("{}.{payload}.{signature}", encoded(&head))
    };
    let them = &world.them;
    let mut all = vec![
        ("its tenant changed".to_owned(), claim("custom:tenantId", json!(them.tenant_id))),
        ("its tenant changed, in capitals".to_owned(), claim("custom:tenantId", json!(them.tenant_id.to_uppercase()))),
        ("its tenants a list".to_owned(), claim("custom:tenantId", json!([world.us.tenant_id, them.tenant_id]))),
        ("another tenant beside its own".to_owned(), claim("tenantId", json!(them.tenant_id))),
        ("its subject changed".to_owned(), claim("sub", decoded(&their_parts[1])["sub"].clone())),
        ("its role changed".to_owned(), claim("custom:role", json!("owner"))),
        ("its end put off".to_owned(), claim("exp", json!(4_102_444_800_u64))),
        ("its issuer changed".to_owned(), claim("iss", json!("https://example.com"))),
        ("an access token".to_owned(), claim("token_use", json!("access"))),
        ("the other's claims under its signature".to_owned(), format!("{header}.{}.{signature}", their_parts[1])),
        ("its claims under the other's signature".to_owned(), format!("{header}.{payload}.{}", their_parts[2])),
        ("no signature".to_owned(), format!("{header}.{payload}.")),
        ("two parts".to_owned(), format!("{header}.{payload}")),
        ("four parts".to_owned(), format!("{ours}.{}", their_parts[1])),
        ("both, one behind the other".to_owned(), format!("{ours}{theirs}")),
        ("both, with a comma".to_owned(), format!("{ours},{theirs}")),
        ("padded".to_owned(), format!("{ours}=")),
        ("a refresh token".to_owned(), world.attacker().refresh_token.clone()),
    ];
    for algorithm in ["none", "None", "HS256", "RS512", "ES256", "PS256"] {
        all.push((format!("the algorithm {algorithm}"), with_header("alg", json!(algorithm))));
    }
    for (name, value) in
        [("kid", json!("../../dev/null")), ("jwk", json!({"kty": "RSA"})), ("jku", json!("https://example.com/jwks"))]
    {
        all.push((format!("the header's {name}"), with_header(name, value)));
    }
    // One character at many places: a memory that looks at a part of a token does not notice.
    for part in 0..3 {
        for place in 0..12 {
            let mut parts = our_parts.clone();
            let at = parts[part].len() * place / 12;
            let old = parts[part].as_bytes().get(at).copied().unwrap_or(b'A');
            // A letter, so that it stays base64; not the neighbour, which the last bits may not tell apart.
            let new = if old == b'Q' { "h" } else { "Q" };
            parts[part].replace_range(at..=at, new);
            let token = parts.join(".");
            all.push((format!("part {} changed at {at}", part + 1), token));
        }
    }
    for length in [1, 16, 64, 128, 256, 512] {
        all.push((format!("its first {length} characters"), ours.chars().take(length).collect()));
        let spliced = ours.chars().take(length).chain(theirs.chars().skip(length)).collect::<String>();
        if spliced != theirs && spliced != ours {
            all.push((format!("its first {length} characters, then the other's"), spliced));
        }
    }
    all
}

/// The attacker's own member is given the victim's tenant at the user pool, as a hole there would: a right signature under
/// a wrong tenant. The member row must decide, whatever is remembered of that subject.
///
/// # Errors
/// A server that does not answer.
pub(super) async fn standing(world: &World) -> anyhow::Result<()> {
    let Some(directory) = &world.directory else {
        world.left_out.note(
            "a member whose account was given another tenant",
            "FFP_MEMBERS_POOL_ID and its siblings, and rights at the user pool, are not in the environment",
        );
        return Ok(());
    };
    let Ok(person) = world.registrar.individual().await else {
        world.left_out.note("a member whose account was given another tenant", "no account can be registered here");
        return Ok(());
    };
    let subject = claims(&person.token)["sub"].as_str().unwrap_or_default().to_owned();
    let theirs = Uuid::try_parse(&world.them.tenant_id)?;
    directory.set_tenant(&subject, theirs, Role::Owner.as_str()).await?;
    let wrong =
        world.registrar.post("/api/v1/auth/login", &json!({"email": person.email, "password": person.password})).await;
    // Login itself may refuse; a token from the pool's own refresh would not ask it, so the pool is asked as well.
    let password = secrecy::SecretString::from(person.password.clone());
    let token = match wrong.ok().and_then(|tokens| tokens["id_token"].as_str().map(str::to_owned)) {
        Some(token) => Some(token),
        None => match directory.authenticate(&person.email, &password).await {
            Ok(crate::cognito::AuthOutcome::Tokens(tokens)) => {
                use secrecy::ExposeSecret;
                Some(tokens.id.expose_secret().to_owned())
            }
            _ => None,
        },
    };
    directory.set_tenant(&subject, Uuid::try_parse(&person.tenant_id)?, Role::Owner.as_str()).await?;
    let Some(token) = token else {
        let why = "the user pool gave no token for the changed account: nothing was proved".to_owned();
        world.record(STANDING, "the other tenant in one's token", "log in".to_owned(), Verdict::Unproved, why);
        return Ok(());
    };
    for number in 0..40 {
        if world.ledger.is_over() {
            return Ok(());
        }
        let path = ["/api/v1/me", "/api/v1/tenant", "/api/v1/members", "/api/v1/videos"][number % 4];
        // The right one first, so that its standing is remembered.
        let right = world.wire.send(&Request::get("/api/v1/me").by(&person.token)).await?;
        if !right.is_success() {
            let why = format!("the rightful token is refused as well: {}", right.text());
            world.record(STANDING, "one's own token", "GET /api/v1/me".to_owned(), Verdict::Unproved, why);
            return Ok(());
        }
        let answer = world.wire.send(&Request::get(path).by(&token)).await?;
        let outcome = match answer.status {
            401 => Ok("401".to_owned()),
            status => Err(format!("{status} {}", answer.text())),
        };
        world.check(STANDING, "the other tenant in one's token", format!("GET {path} ({number})"), outcome);
    }
    Ok(())
}

/// What a token claims, unverified.
pub(super) fn claims(token: &str) -> Value {
    decoded(&parts(token)[1])
}

/// Whether a token says that it ends this soon; one that says nothing does not.
pub(super) fn expires_within(token: &str, margin: chrono::TimeDelta) -> bool {
    let end = decoded(&parts(token)[1])["exp"].as_i64();
    end.is_some_and(|end| end <= (chrono::Utc::now() + margin).timestamp())
}

fn parts(token: &str) -> [String; 3] {
    let mut parts = token.splitn(3, '.').map(str::to_owned);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn decoded(part: &str) -> Value {
    URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(json!({}))
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Enough of a token to tell it by, and not enough to use.
fn shown(token: &str) -> String {
    let [_, payload, signature] = parts(token);
    let end = |text: &str| text.chars().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    format!("…{}.…{} ({} characters)", end(&payload), end(&signature), token.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_itself_when_it_ends() {
        let ending = |at: i64| format!("h.{}.s", encoded(&json!({"exp": at})));
        let (now, margin) = (chrono::Utc::now().timestamp(), chrono::TimeDelta::seconds(20));
        assert!(expires_within(&ending(now + 10), margin) && !expires_within(&ending(now + 60), margin));
        assert!(!expires_within("opaque", margin));
    }
}
