//! What a directory says about its entries, read through descriptors.
