//! khimg
