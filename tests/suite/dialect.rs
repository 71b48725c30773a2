//! Other services' dialects: what they read and write, without a server.

mod wire;
