//! The operators that a model may be made of.
//!
//! They are what the exporters of scikit-learn, XGBoost, LightGBM and small neural networks write. Control flow, random
//! numbers, text, images, strings of unbounded size and training operators have no place in a model that scores rows.

/// Whether ONNX Runtime may be given a node of this operator. The domain of ONNX's own operators is empty.
pub fn is_known(domain: &str, operator: &str) -> bool {
    match domain {
        "" => is_plain(operator),
        "ai.onnx.ml" => is_classic(operator),
        _ => false,
    }
}

/// Operators of `ai.onnx.ml`. ZipMap is known so that the answer can be "export with zipmap=False".
fn is_classic(operator: &str) -> bool {
    matches!(
        operator,
        "ArrayFeatureExtractor"
            | "Binarizer"
            | "FeatureVectorizer"
            | "Imputer"
            | "LabelEncoder"
            | "LinearClassifier"
            | "LinearRegressor"
            | "Normalizer"
            | "OneHotEncoder"
            | "SVMClassifier"
            | "SVMRegressor"
            | "Scaler"
            | "TreeEnsembleClassifier"
            | "TreeEnsembleRegressor"
            | "ZipMap"
    )
}

/// Operators of ONNX itself.
fn is_plain(operator: &str) -> bool {
    matches!(
        operator,
        "Abs"
            | "Add"
            | "And"
            | "ArgMax"
            | "ArgMin"
            | "BatchNormalization"
            | "Cast"
            | "Ceil"
            | "Clip"
            | "Concat"
            | "Constant"
            | "ConstantOfShape"
            | "Div"
            | "Dropout"
            | "Elu"
            | "Equal"
            | "Erf"
            | "Exp"
            | "Expand"
            | "Flatten"
            | "Floor"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "Gelu"
            | "Gemm"
            | "Greater"
            | "GreaterOrEqual"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "IsInf"
            | "IsNaN"
            | "LayerNormalization"
            | "LeakyRelu"
            | "Less"
            | "LessOrEqual"
            | "Log"
            | "LogSoftmax"
            | "MatMul"
            | "Max"
            | "Mean"
            | "Min"
            | "Mod"
            | "Mul"
            | "Neg"
            | "Not"
            | "OneHot"
            | "Or"
            | "PRelu"
            | "Pow"
            | "Reciprocal"
            | "ReduceL1"
            | "ReduceL2"
            | "ReduceLogSumExp"
            | "ReduceMax"
            | "ReduceMean"
            | "ReduceMin"
            | "ReduceProd"
            | "ReduceSum"
            | "ReduceSumSquare"
            | "Relu"
            | "Reshape"
            | "Round"
            | "Selu"
            | "Shape"
            | "Sigmoid"
            | "Sign"
            | "Size"
            | "Slice"
            | "Softmax"
            | "Softplus"
            | "Softsign"
            | "Split"
            | "Sqrt"
            | "Squeeze"
            | "Sub"
            | "Sum"
            | "Tanh"
            | "TopK"
            | "Transpose"
            | "Unsqueeze"
            | "Where"
            | "Xor"
    )
}

/// Whether the operator's first output has as many columns as its first input, whatever its attributes say.
pub fn keeps_width(domain: &str, operator: &str) -> bool {
    matches!(
        (domain, operator),
        ("", "Cast" | "Identity") | ("ai.onnx.ml", "Binarizer" | "Imputer" | "Normalizer" | "Scaler")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exporters_write_is_known_and_control_flow_is_not() {
        for operator in [
            "TreeEnsembleClassifier",
            "TreeEnsembleRegressor",
            "Scaler",
            "LinearClassifier",
        ] {
            assert!(is_known("ai.onnx.ml", operator), "{operator}");
            assert!(!is_known("", operator), "{operator} is not ONNX's own");
        }
        for operator in ["MatMul", "Sigmoid", "ArgMax", "Identity", "Cast"] {
            assert!(is_known("", operator), "{operator}");
        }
        for operator in [
            "If",
            "Loop",
            "Scan",
            "RandomNormal",
            "SequenceMap",
            "StringNormalizer",
            "",
            "scaler",
        ] {
            assert!(!is_known("", operator), "{operator}");
        }
        assert!(!is_known("com.microsoft", "Identity"));
    }
}
