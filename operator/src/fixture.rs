//! A FraudModel for tests, as an API server would hand it out.

use fraudops_crds::FraudModel;

use crate::reconcile::validate::{Defaults, ValidModel, validate};

/// A FraudModel in YAML; `uid` and all.
const MODEL: &str = "
apiVersion: fraudops.dev/v1alpha1
kind: FraudModel
metadata: { name: card-fraud, namespace: payments, uid: 0b7d2c56-7a1e-4d8e-9a52-6b8f4c8f9a11, generation: 1 }
spec:
  model:
    version: 2026.11.1
    uri: oci://registry.example/fraud/card:2026.11.1
    sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  ingress:
    host: card-fraud.example.test
    tls: { issuerRef: { name: fraudops-ca, kind: ClusterIssuer } }
";

pub fn model() -> FraudModel {
    serde_yaml::from_str(MODEL).unwrap()
}

pub fn defaults() -> Defaults {
    Defaults {
        scorer_image: "registry.example/scorer:1".into(),
        insecure_registries: vec![],
    }
}

pub fn valid() -> ValidModel {
    validate(&model(), &defaults()).unwrap()
}
