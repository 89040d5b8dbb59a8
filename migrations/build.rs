//! `sqlx::migrate!` embeds a folder; cargo must look at it again when a file is added.
fn main() {
    println!("cargo::rerun-if-changed=sql");
}
