//! The operator console: what staff of the company that runs FFP do over tenants.
