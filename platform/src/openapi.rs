//! The OpenAPI document: what the handlers' annotations leave out because it holds for all of them.

use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, Response, Schema, Type,
    path::{Operation, PathItem},
    schema::SchemaType,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

/// The content type of refusals.
const PROBLEM: &str = "application/problem+json";

/// Title, version, security schemes, names that are unique, and the refusals that follow from an operation's shape.
pub fn complete(mut document: OpenApi) -> OpenApi {
    document.info.title = "FFP API".into();
    document.info.version = "1".into();
    document.info.description = Some(
        "Fitness businesses, their members, videos and progress. Refusals are RFC 9457 problems. Lists answer \
         `{items, next_cursor}`. A token names its tenant: another tenant's ids answer like ids that do not exist."
            .into(),
    );
    // The order of the documentation's chapters: a newcomer's.
    let chapters = [
        ("auth", "Registering, confirming, logging in, recovering, accepting an invitation"),
        ("me", "Your profile, password and sessions"),
        ("tenant", "Your business"),
        ("usage", "What you have used, and what is left"),
        ("members", "Its people"),
        ("invitations", "Who is asked to join"),
        ("videos", "Exercise videos: uploading, publishing, streaming, progress"),
        ("library", "The platform's own videos; for operators"),
        ("operators", "Tenants, their limits, the job queue, the audit log; for operators"),
    ];
    let tag = |(name, description)| TagBuilder::new().name(name).description(Some(description)).build();
    document.tags = Some(chapters.into_iter().map(tag).collect());
    let components = document.components.get_or_insert_default();
    for (name, description) in [
        ("member", "An ID token of the members' user pool, from `POST /api/v1/auth/login`."),
        ("operator", "An ID token of the operators' user pool."),
    ] {
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(description));
        components.security_schemes.insert(name.into(), RefOr::T(SecurityScheme::Http(bearer.build())));
    }
    for (path, item) in &mut document.paths.paths {
        let templated = path.contains('{');
        for operation in operations(item) {
            name(operation);
            parameters(operation);
            refusals(operation, templated);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Handlers are named within their feature, `list`; the document needs names of its own, `members_list`.
fn name(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next();
    if let (Some(tag), Some(id)) = (tag, operation.operation_id.as_mut())
        && !id.starts_with(&format!("{tag}_"))
    {
        *id = format!("{tag}_{id}");
    }
}

/// A parameter that is optional is left out; there is no null in a query or a header.
fn parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            && let SchemaType::Array(types) = &mut schema.schema_type
        {
            types.retain(|kind| *kind != Type::Null);
            if let [one] = types.as_slice() {
                schema.schema_type = SchemaType::Type(one.clone());
            }
        }
    }
}

/// The statuses that any such operation can answer, whatever it does. Every refusal is a problem document.
fn refusals(operation: &mut Operation, templated: bool) {
    let mut statuses = vec![("429", "Too many requests"), ("503", "A part of the service is away")];
    if needs_token(operation) {
        statuses.extend([("401", "No valid token"), ("403", "Not allowed")]);
    }
    if templated {
        statuses.push(("404", "It does not exist, or is not yours to see"));
    }
    if operation.request_body.is_some() {
        statuses.extend([
            ("400", "Not JSON"),
            ("413", "The body is too large"),
            ("415", "The body is not sent as JSON"),
            ("422", "A field is not valid"),
        ]);
    }
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        statuses.push(("422", "A field is not valid"));
    }
    for (status, description) in statuses {
        let responses = &mut operation.responses.responses;
        responses.entry(status.into()).or_insert_with(|| RefOr::T(Response::new(description)));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
        {
            response.content.clear();
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            response.content.insert(PROBLEM.into(), RefOr::T(content));
        }
    }
}

/// Public operations carry one requirement that is empty.
fn needs_token(operation: &Operation) -> bool {
    let open = SecurityRequirement::default();
    operation.security.iter().flatten().any(|requirement| *requirement != open)
}
