//! The command line of khimg.

fn main() {}
