//! Every route of the product, in one place.

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Platform, identity, invitations, members, openapi, tenant, videos};

/// Shared schemas that no handler's signature names.
#[derive(OpenApi)]
#[openapi(components(schemas(tenants::http::ProblemBody)))]
struct Shared;

/// The API and its OpenAPI document, without state.
pub fn api() -> (Router<Platform>, utoipa::openapi::OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(Shared::openapi())
        // Identity: public
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
        // The caller
        .routes(routes!(identity::me::show, identity::me::update))
        .routes(routes!(identity::me::change_password))
        .routes(routes!(identity::me::sign_out_everywhere))
        // The tenant and its people
        .routes(routes!(tenant::show, tenant::update))
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
        // The platform's own library: operators
        .routes(routes!(videos::library::list, videos::library::create))
        .routes(routes!(videos::library::show, videos::library::update, videos::library::remove))
        .routes(routes!(videos::library::upload, videos::library::complete_upload))
        .routes(routes!(videos::library::publish, videos::library::unpublish))
        .split_for_parts();
    (router, openapi::complete(document))
}
