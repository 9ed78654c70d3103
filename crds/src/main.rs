//! Prints the CustomResourceDefinition of FraudModel: `make crds` writes it to crds/fraudmodels.yaml.

fn main() -> Result<(), fraudops_crds::CrdError> {
    print!("{}", fraudops_crds::crd_yaml()?);
    Ok(())
}
