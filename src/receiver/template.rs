//! Templates of titles and texts. Home of minijinja.
