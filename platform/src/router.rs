//! Every route of the product, in one place.

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Platform, identity, invitations, members, openapi, tenant, usage, videos};

/// Shared schemas that no handler's signature names.
#[derive(OpenApi)]
#[openapi(components(schemas(tenants::http::ProblemBody)))]
struct Shared;

/// The API's routes by who calls them, which decides what limits them; without state.
pub struct Faces {
    /// Without a token; limited by the client's address.
    pub public: Router<Platform>,
    /// Members, by a token of theirs; limited by their tenant's throttle.
    pub members: Router<Platform>,
    /// Operators, by a token of their own user pool.
    pub operators: Router<Platform>,
}

/// The API and its OpenAPI document.
pub fn api() -> (Faces, utoipa::openapi::OpenApi) {
    let mut document = Shared::openapi();
    let mut face = |routes: OpenApiRouter<Platform>| {
        let (router, part) = routes.split_for_parts();
        document.merge(part);
        router
    };
    let faces = Faces { public: face(public()), members: face(members()), operators: face(operators()) };
    (faces, openapi::complete(document))
}

fn public() -> OpenApiRouter<Platform> {
    OpenApiRouter::new()
        .routes(routes!(identity::register::register))
        .routes(routes!(identity::register::confirm))
        .routes(routes!(identity::register::resend))
        .routes(routes!(identity::login::login))
        .routes(routes!(identity::login::challenge))
        .routes(routes!(identity::login::refresh))
        .routes(routes!(identity::login::logout))
        .routes(routes!(identity::recovery::forgot_password))
        .routes(routes!(identity::recovery::reset_password))
        .routes(routes!(invitations::accept::accept))
}

fn members() -> OpenApiRouter<Platform> {
    OpenApiRouter::new()
        // The caller
        .routes(routes!(identity::me::show, identity::me::update))
        .routes(routes!(identity::me::change_password))
        .routes(routes!(identity::me::sign_out_everywhere))
        // The tenant and its people
        .routes(routes!(tenant::show, tenant::update))
        .routes(routes!(usage::show))
        .routes(routes!(members::routes::list))
        .routes(routes!(members::routes::show, members::routes::update, members::routes::remove))
        .routes(routes!(invitations::routes::create, invitations::routes::list))
        .routes(routes!(invitations::routes::resend))
        .routes(routes!(invitations::routes::revoke))
        // Videos
        .routes(routes!(videos::routes::list, videos::routes::create))
        .routes(routes!(videos::routes::show, videos::routes::update, videos::routes::remove))
        .routes(routes!(videos::routes::upload, videos::routes::complete_upload))
        .routes(routes!(videos::routes::publish, videos::routes::unpublish))
        .routes(routes!(videos::stream::stream))
        .routes(routes!(videos::progress::record, videos::progress::show))
}

fn operators() -> OpenApiRouter<Platform> {
    admin::routes()
        // The platform's own library
        .routes(routes!(videos::library::list, videos::library::create))
        .routes(routes!(videos::library::show, videos::library::update, videos::library::remove))
        .routes(routes!(videos::library::upload, videos::library::complete_upload))
        .routes(routes!(videos::library::publish, videos::library::unpublish))
}
