//! The devices that this build can train on.

use burn::tensor::Device;

use crate::run::error::RunError;

/// The devices that this build can train on, the default first.
pub const DEVICES: &[&str] = &[
    "flex",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
];

/// The device of a name.
///
/// # Errors
///
/// [`RunError::UnknownName`], with the names that there are.
pub(crate) fn device(name: &str) -> Result<Device, RunError> {
    match name {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        name => Err(RunError::unknown_name("device", name, DEVICES)),
    }
}
