//! The types of fraudops' API, and the fields of foreign kinds that fraudops sets. No logic, no client.
//!
//! - [`fraud_model`]: the `FraudModel` (spec, status, conditions) with its admission rules (CEL).
//! - [`traefik`], [`cert_manager`], [`monitoring`]: only the fields that the operator writes or reads. They are sent by
//!   server-side apply, so the fields that are missing here stay as they are; never `replace` an object of these types.

pub mod cert_manager;
pub mod fraud_model;
pub mod monitoring;
mod schema;
pub mod traefik;

pub use fraud_model::{FraudModel, FraudModelSpec, FraudModelStatus};
pub use schema::{CrdError, crd, crd_yaml};

/// The API group of all our kinds, labels and annotations.
pub const GROUP: &str = "fraudops.dev";
