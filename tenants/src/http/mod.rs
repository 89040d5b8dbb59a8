//! What every face of the product shares over HTTP: who is calling, how bodies are read, how refusals look, pages,
//! idempotency keys and entity tags.

mod caller;
mod etag;
mod idempotency;
mod json;
mod object;
mod page;
pub mod pasted;
mod problem;
mod request_id;
mod stranger;
mod text;
mod throttle;

pub use caller::{Caller, Operator};
pub use etag::{ETag, IfMatch, WithETag};
pub use idempotency::{Idempotent, Once};
pub use json::{Json, Params, PathId};
pub use object::objects;
pub use page::{Cursor, Page, PageQuery};
pub use problem::{FieldError, Problem, ProblemBody};
pub use request_id::{RequestId, current_request_id, with_request_id};
pub use stranger::{Stranger, is_known, operators};
pub use text::{composed, containing, is_invisible, is_line, is_mark, is_selector, searched, tidy};
pub use throttle::throttle;
