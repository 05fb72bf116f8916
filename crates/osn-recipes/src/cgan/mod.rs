//! Class-conditional image generation: a projection discriminator (Miyato and Koyama 2018), whose
//! every weight osn measures, the embedding of the classes too, and a generator whose batch
//! normalization has a gain and an offset for each class. The hyper-parameters are those of `gan`.

pub(crate) mod game;
pub mod model;
pub mod projection;
