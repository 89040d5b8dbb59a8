//! One tenant asks as fast as it can. That it is told 429 is right; anything else that goes wrong is not.

use std::sync::Arc;

use goose::prelude::*;

use super::people::{People, token};

pub(super) fn scenario(people: &Arc<People>) -> Scenario {
    let people = Arc::clone(people);
    let join = Transaction::new(Arc::new(move |user| {
        let people = Arc::clone(&people);
        Box::pin(async move { people.join_noisy(user).await })
    }));
    let ask = Transaction::new(Arc::new(|user| Box::pin(ask(user))));
    scenario!("noisy")
        .register_transaction(join.set_name("join, noisy").set_on_start())
        .register_transaction(ask.set_name("ask for too much"))
}

async fn ask(user: &mut GooseUser) -> TransactionResult {
    let token = token(user)?;
    let builder = user.get_request_builder(&GooseMethod::Get, "/api/v1/videos?limit=20")?.bearer_auth(token);
    let request = GooseRequest::builder().set_request_builder(builder).name("videos, noisy").build();
    let mut answer = user.request(request).await?;
    if answer.response.as_ref().is_ok_and(|answer| answer.status().as_u16() == 429) {
        return user.set_success(&mut answer.request);
    }
    Ok(())
}
