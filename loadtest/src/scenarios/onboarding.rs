//! Businesses register, confirm, log in, look around and invite.

use std::sync::Arc;

use goose::prelude::*;
use serde_json::json;

use super::people::{People, Session, get, post};

pub(super) fn scenario(people: &Arc<People>) -> Result<Scenario, GooseError> {
    let people = Arc::clone(people);
    let onboard = Transaction::new(Arc::new(move |user| {
        let people = Arc::clone(&people);
        Box::pin(async move { onboard(user, &people).await })
    }));
    Ok(scenario!("onboarding wave").register_transaction(onboard.set_name("onboard")))
}

async fn onboard(user: &mut GooseUser, people: &People) -> TransactionResult {
    let token = people.register(user).await?;
    user.set_session_data(Session { token });
    get(user, "/api/v1/me", "me").await?;
    get(user, "/api/v1/videos?limit=20", "videos").await?;
    for role in ["coach", "athlete", "athlete"] {
        let invitation = json!({"email": people.fresh_address(), "role": role});
        post(user, "/api/v1/invitations", Some("invitation"), &invitation).await?;
    }
    Ok(())
}
