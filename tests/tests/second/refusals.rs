pub(crate) fn all(_: &mut rand_chacha::ChaCha20Rng, _: &mut crate::python::Python) -> usize { 0 }
