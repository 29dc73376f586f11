//! Replies with every kind of block, as streams and as whole replies.
