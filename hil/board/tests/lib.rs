//! Nothing: a package must have a library or a program. The tests are agent/tests/board.rs.
