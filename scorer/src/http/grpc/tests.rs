use std::{net::SocketAddr, thread};

use futures::StreamExt;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::{sync::watch, task::spawn_local};
use tonic::{Code, client::Grpc as Caller, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use super::*;
use crate::{
    http::{
        contract::tests::card,
        fixture::{Fake, LIMITS, PATIENCE, on_one_thread},
        server::{Gate, Listening},
    },
    metrics::Metrics,
    model::{ModelError, Reason},
};
use inference::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse, model_infer_request::InferInputTensor,
};

/// A gRPC server on a thread of its own, and a scoring thread that is the test's.
struct Server {
    address: SocketAddr,
    bridge: Bridge,
    state: Arc<State>,
    gate: watch::Sender<Gate>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Server {
    fn start(room: usize, timeout: Duration) -> (Self, Jobs) {
        let mut listening = Listening::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let metrics = Arc::new(Metrics::new(1));
        let state = Arc::new(State::new(Arc::clone(&metrics)));
        let gate = watch::Sender::new(Gate::Open);
        let site = Site {
            limits: LIMITS,
            shard: metrics.shard(0),
            metrics,
            gate: gate.subscribe(),
        };
        let (bridge, mut jobs) = bridge(1, room);
        let grpc = Grpc {
            bridge: bridge.clone(),
            state: Arc::clone(&state),
            max_batch: 8,
            timeout,
            access: None,
        };
        let socket = listening.sockets.remove(0);
        let thread = thread::spawn(move || grpc.run(Transport::default(), socket, site));
        let server = Self {
            address: listening.address,
            bridge,
            state,
            gate,
            thread,
        };
        (server, jobs.remove(0))
    }

    /// With the fake model in service.
    fn ready() -> Self {
        let (server, jobs) = Self::start(4, Duration::from_secs(5));
        server.serve(jobs);
        server
    }

    fn serve(&self, jobs: Jobs) {
        let fake = Rc::new(Fake::new());
        self.bridge.announce(Some(Facts::of(fake.as_ref())));
        self.state.set_ready(card());
        spawn_local(jobs.run(move || Some(Rc::clone(&fake))));
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.gate.send_replace(Gate::Closed);
    }
}

async fn call<Q, A>(
    channel: &Channel,
    path: &str,
    request: tonic::Request<Q>,
) -> Result<tonic::Response<A>, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut caller = Caller::new(channel.clone());
    caller
        .ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    let path = PathAndQuery::try_from(path).unwrap();
    caller.unary(request, path, ProstCodec::default()).await
}

async fn ask<Q, A>(channel: &Channel, method: &str, request: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let path = format!("/{SERVICE}/{method}");
    call(channel, &path, tonic::Request::new(request))
        .await
        .map(tonic::Response::into_inner)
}

fn request(scores: &[f32]) -> ModelInferRequest {
    let rows: Vec<f32> = scores.iter().flat_map(|score| Fake::row(*score)).collect();
    ModelInferRequest {
        model_name: "card-fraud".into(),
        id: "id-1".into(),
        inputs: vec![InferInputTensor {
            name: "features".into(),
            datatype: "FP32".into(),
            shape: vec![scores.len() as i64, 15],
            contents: Some(InferTensorContents {
                fp32_contents: rows,
                ..InferTensorContents::default()
            }),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

async fn infer(channel: &Channel, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
    ask(channel, "ModelInfer", request).await
}

#[test]
fn typed_contents_are_answered_typed_and_raw_ones_raw() {
    on_one_thread(async {
        let server = Server::ready();
        let channel = server.channel().await;
        let typed = infer(&channel, request(&[0.25, 0.5])).await.unwrap();
        assert_eq!(
            (typed.model_version.as_str(), typed.id.as_str()),
            ("2026.11.1", "id-1")
        );
        let contents: Vec<_> = typed
            .outputs
            .iter()
            .map(|output| output.contents.clone().unwrap())
            .collect();
        assert_eq!(contents[0].fp32_contents, [0.25, 0.5]);
        assert_eq!(
            contents[1].bytes_contents,
            [b"review".to_vec(), b"block".to_vec()]
        );
        let mut raw = request(&[0.25]);
        raw.inputs[0].contents = None;
        raw.raw_input_contents = vec![Fake::row(0.25).iter().flat_map(|v| v.to_le_bytes()).collect()];
        let raw = infer(&channel, raw).await.unwrap();
        let expected = [0.25_f32.to_le_bytes().to_vec(), b"\x06\0\0\0review".to_vec()];
        assert_eq!(raw.raw_output_contents, expected);
        assert!(raw.outputs.iter().all(|output| output.contents.is_none()));
    });
}

#[test]
fn server_and_model_describe_themselves() {
    on_one_thread(async {
        let server = Server::ready();
        let channel = server.channel().await;
        let live: ServerLiveResponse = ask(&channel, "ServerLive", ServerLiveRequest {}).await.unwrap();
        let ready: ServerReadyResponse = ask(&channel, "ServerReady", ServerReadyRequest {}).await.unwrap();
        assert!(live.live && ready.ready);
        let about: ServerMetadataResponse = ask(&channel, "ServerMetadata", ServerMetadataRequest {})
            .await
            .unwrap();
        assert_eq!(about.name, "fraudops-scorer");
        let name = "card-fraud".to_owned();
        let version = "2026.11.1".to_owned();
        let asked = ModelReadyRequest {
            name: name.clone(),
            version: version.clone(),
        };
        let model: ModelReadyResponse = ask(&channel, "ModelReady", asked).await.unwrap();
        assert!(model.ready);
        let asked = ModelMetadataRequest { name, version };
        let model: ModelMetadataResponse = ask(&channel, "ModelMetadata", asked).await.unwrap();
        assert_eq!(
            (model.inputs[0].name.as_str(), &model.inputs[0].shape[..]),
            ("features", &[-1, 15][..])
        );
        assert_eq!(model.outputs[1].datatype, "BYTES");
    });
}

#[test]
fn errors_have_their_codes() {
    on_one_thread(async {
        let server = Server::ready();
        let channel = server.channel().await;
        let code = |outcome: Result<ModelInferResponse, Status>| outcome.expect_err("an error").code();
        let mut other = request(&[0.2]);
        other.model_name = "other".into();
        assert_eq!(code(infer(&channel, other).await), Code::NotFound);
        let mut version = request(&[0.2]);
        version.model_version = "1".into();
        assert_eq!(code(infer(&channel, version).await), Code::NotFound);
        assert_eq!(
            code(infer(&channel, request(&[0.1; 9])).await),
            Code::InvalidArgument
        );
        assert_eq!(
            code(infer(&channel, request(&[f32::NAN])).await),
            Code::InvalidArgument
        );
        let failed = infer(&channel, request(&[0.2, -1.0]))
            .await
            .expect_err("the model fails");
        assert_eq!(
            (failed.code(), failed.message()),
            (Code::Internal, "the model failed on row 1")
        );
        let mut large = request(&[0.2]);
        large.raw_input_contents = vec![vec![0; MAX_MESSAGE]];
        assert_eq!(code(infer(&channel, large).await), Code::OutOfRange);
        let unknown: Result<ServerLiveResponse, _> = ask(&channel, "Nothing", ServerLiveRequest {}).await;
        assert_eq!(unknown.expect_err("no such method").code(), Code::Unimplemented);
    });
}

#[test]
fn without_a_model_the_server_is_live_and_not_ready() {
    on_one_thread(async {
        let (server, _jobs) = Server::start(4, Duration::from_secs(5));
        let channel = server.channel().await;
        let live: ServerLiveResponse = ask(&channel, "ServerLive", ServerLiveRequest {}).await.unwrap();
        let ready: ServerReadyResponse = ask(&channel, "ServerReady", ServerReadyRequest {}).await.unwrap();
        assert_eq!((live.live, ready.ready), (true, false));
        assert_eq!(
            infer(&channel, request(&[0.2]))
                .await
                .expect_err("no model")
                .code(),
            Code::Unavailable
        );
        server.state.set_failed(ModelError::new(Reason::NotOnnx, "no"));
    });
}

#[test]
fn a_full_bridge_and_a_short_time_are_answered_with_their_codes() {
    on_one_thread(async {
        let (server, jobs) = Server::start(1, Duration::from_millis(300));
        let channel = server.channel().await;
        // A model is announced, but nobody takes the jobs yet.
        server.bridge.announce(Some(Facts::of(&Fake::new())));
        let begun = std::time::Instant::now();
        let (first, second) = tokio::join!(infer(&channel, request(&[0.2])), async {
            sleep(Duration::from_millis(100)).await;
            infer(&channel, request(&[0.2])).await
        });
        assert_eq!(first.expect_err("nobody scores").code(), Code::DeadlineExceeded);
        assert_eq!(
            second.expect_err("there is no room").code(),
            Code::ResourceExhausted
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        server.serve(jobs);
        let mut impatient = tonic::Request::new(request(&[0.2]));
        impatient.set_timeout(Duration::from_secs(60));
        let path = format!("/{SERVICE}/ModelInfer");
        let late: Result<tonic::Response<ModelInferResponse>, _> = call(&channel, &path, impatient).await;
        assert!(late.is_ok(), "the room is back: {late:?}");
    });
}

#[test]
fn the_request_id_comes_back() {
    on_one_thread(async {
        let server = Server::ready();
        let channel = server.channel().await;
        let mut asked = tonic::Request::new(ServerLiveRequest {});
        asked
            .metadata_mut()
            .insert("x-request-id", "client-7".parse().unwrap());
        let path = format!("/{SERVICE}/ServerLive");
        let answer: tonic::Response<ServerLiveResponse> = call(&channel, &path, asked).await.unwrap();
        assert_eq!(answer.metadata().get("x-request-id").unwrap(), "client-7");
    });
}

#[test]
fn the_health_service_follows_the_readiness() {
    on_one_thread(async {
        let (server, jobs) = Server::start(4, Duration::from_secs(5));
        let channel = server.channel().await;
        let check = async |service: &str| {
            let asked = tonic::Request::new(HealthCheckRequest {
                service: service.to_owned(),
            });
            let path = "/grpc.health.v1.Health/Check";
            let answer: tonic::Response<HealthCheckResponse> = call(&channel, path, asked).await.unwrap();
            answer.into_inner().status()
        };
        assert_eq!(check(SERVICE).await, ServingStatus::NotServing);
        server.serve(jobs);
        for service in ["", SERVICE] {
            let mut looks = 0;
            while check(service).await != ServingStatus::Serving {
                looks += 1;
                assert!(looks < 100, "the health does not follow");
                sleep(Duration::from_millis(50)).await;
            }
        }
    });
}

#[test]
fn reflection_lists_the_services_and_gives_the_protocols_file() {
    on_one_thread(async {
        let server = Server::ready();
        let mut caller = Caller::new(server.channel().await);
        caller.ready().await.unwrap();
        let ask = |request: MessageRequest| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let questions = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol(SERVICE.to_owned())),
        ];
        let path = PathAndQuery::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let request = tonic::Request::new(futures::stream::iter(questions));
        let codec: ProstCodec<ServerReflectionRequest, ServerReflectionResponse> = ProstCodec::default();
        let mut answers = caller.streaming(request, path, codec).await.unwrap().into_inner();
        let mut next = async || answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = next().await else {
            panic!("a list was asked for");
        };
        let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
        assert!(
            names.contains(&SERVICE) && names.contains(&"grpc.health.v1.Health"),
            "{names:?}"
        );
        let MessageResponse::FileDescriptorResponse(file) = next().await else {
            panic!("a file was asked for");
        };
        assert_eq!(file.file_descriptor_proto.len(), 1);
    });
}

#[test]
fn a_closed_gate_ends_the_thread_once_the_clients_are_told() {
    on_one_thread(async {
        let server = Server::ready();
        let channel = server.channel().await;
        infer(&channel, request(&[0.2])).await.unwrap();
        server.gate.send_replace(Gate::Closed);
        let ended = async {
            while !server.thread.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("the thread ends");
    });
}
