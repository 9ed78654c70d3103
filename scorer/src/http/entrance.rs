//! Whether a request may come in: decided by its head, before any of its body is read.

use http::{Request, Response};
use http_body_util::Either;
use tonic::{Status, metadata::MetadataValue};

use super::{answer, connection::Body, oip, peer::Peer, protocols};
use crate::access::{Access, Denied, Scope};

/// Methods of the Open Inference Protocol over gRPC that tell what everybody may know. All others need a token.
const OPEN_METHODS: [&str; 5] = [
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
];

/// How long until the next try, as gRPC's clients understand it.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Why a request to the serving port is turned away.
pub fn refuses<B>(access: &Access, request: &Request<B>, peer: &Peer) -> Option<Denied> {
    ask(access, scope_of(request.uri().path())?, request, peer)
}

/// The same for the admin port.
pub fn refuses_admin<B>(access: &Access, request: &Request<B>, peer: &Peer) -> Option<Denied> {
    ask(access, admin_scope_of(request.uri().path())?, request, peer)
}

/// The same for the gRPC port.
pub fn refuses_grpc<B>(access: &Access, request: &Request<B>, peer: &Peer) -> Option<Denied> {
    ask(access, grpc_scope_of(request.uri().path())?, request, peer)
}

fn ask<B>(access: &Access, scope: Scope, request: &Request<B>, peer: &Peer) -> Option<Denied> {
    access.check(request.headers(), scope, peer.address).err()
}

/// What a path of the serving port needs; none: it is open.
fn scope_of(path: &str) -> Option<Scope> {
    match path {
        "/predict" => Some(Scope::Predict),
        "/feedback" => Some(Scope::Feedback),
        _ => protocols::scores(path).then_some(Scope::Predict),
    }
}

/// Metrics and probes are for programs of the cluster; its network says whose.
fn admin_scope_of(path: &str) -> Option<Scope> {
    (path == "/model").then_some(Scope::Admin)
}

/// Health and reflection are open.
fn grpc_scope_of(path: &str) -> Option<Scope> {
    let method = path.strip_prefix("/inference.GRPCInferenceService/")?;
    (!OPEN_METHODS.contains(&method)).then_some(Scope::Predict)
}

/// The refusal, in the shape of the path's protocol.
pub fn refusal(path: &str, denied: Denied) -> Response<Body> {
    let (status, sentence) = (denied.status(), denied.detail());
    let mut answer = if path.starts_with("/v2/") {
        oip::error(status, &sentence)
    } else {
        answer::detail(status, &sentence)
    };
    denied.add_headers(answer.headers_mut());
    answer.map(Either::Left)
}

/// The refusal over gRPC.
pub fn grpc_refusal(denied: Denied) -> Response<Body> {
    let sentence = denied.detail();
    let status = match denied {
        Denied::NoToken | Denied::UnknownToken => Status::unauthenticated(sentence),
        Denied::Scope(_) => Status::permission_denied(sentence),
        Denied::TooMany(wait) => {
            let mut status = Status::resource_exhausted(sentence);
            let wait = u64::try_from(wait.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            status.metadata_mut().insert(PUSHBACK, MetadataValue::from(wait));
            status
        }
    };
    status.into_http::<axum::body::Body>().map(Either::Right)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use prost::Message;
    use protox::prost_reflect::prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_path_has_the_scope_of_what_it_does() {
        use Scope::{Admin, Feedback, Predict};
        for (path, scope, admin) in [
            ("/predict", Some(Predict), None),
            ("/predict/batch", Some(Predict), None),
            ("/v2/models/m/infer", Some(Predict), None),
            ("/v2/models/m/infer/", Some(Predict), None),
            ("/v2/models/a%20b/versions/1/infer", Some(Predict), None),
            ("/feedback", Some(Feedback), None),
            ("/model", None, Some(Admin)),
            ("/v2", None, None),
            ("/v2/models/m", None, None),
            ("/v2/models/m/ready", None, None),
            ("/v2/health/ready", None, None),
            ("/livez", None, None),
            ("/readyz", None, None),
            ("/health", None, None),
            ("/metrics", None, None),
            ("/openapi.json", None, None),
            ("/docs", None, None),
            ("/", None, None),
        ] {
            assert_eq!((scope_of(path), admin_scope_of(path)), (scope, admin), "{path}");
        }
    }

    #[test]
    fn of_all_methods_over_grpc_those_that_score_need_a_token() {
        let set = FileDescriptorSet::decode(super::super::grpc::DESCRIPTORS).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        let methods = services.flat_map(|service| &service.method);
        let guarded: Vec<_> = methods
            .map(|method| method.name())
            .filter(|name| grpc_scope_of(&format!("/inference.GRPCInferenceService/{name}")).is_some())
            .collect();
        assert_eq!(guarded, ["ModelInfer"]);
        for open in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(grpc_scope_of(open), None);
        }
        let new = "/inference.GRPCInferenceService/ModelStreamInfer";
        assert_eq!(
            grpc_scope_of(new),
            Some(Scope::Predict),
            "what is added is closed"
        );
    }

    #[test]
    fn a_refusal_has_the_shape_of_its_protocol() {
        let shape = |path: &str| {
            let Either::Left(body) = refusal(path, Denied::NoToken).into_body() else {
                panic!("a body of ours");
            };
            format!("{body:?}")
        };
        assert!(shape("/predict").contains(r#"{\"detail\":"#));
        assert!(shape("/feedback").contains(r#"{\"detail\":"#));
        assert!(shape("/v2/models/m/infer").contains(r#"{\"error\":"#));
    }

    #[test]
    fn grpc_has_its_own_codes_and_says_when_to_try_again() {
        for (denied, code) in [
            (Denied::NoToken, "16"),
            (Denied::UnknownToken, "16"),
            (Denied::Scope(Scope::Predict), "7"),
            (Denied::TooMany(Duration::from_millis(1500)), "8"),
        ] {
            let answer = grpc_refusal(denied);
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["grpc-status"], code);
        }
        let limited = grpc_refusal(Denied::TooMany(Duration::from_millis(1500)));
        assert_eq!(limited.headers()[PUSHBACK], "1501");
    }
}
