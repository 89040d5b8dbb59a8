//! Load scenarios and the performance report. Speaks HTTP only.

fn main() {}
