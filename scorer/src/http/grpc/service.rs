//! The protocol's service.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    bridge::{Bridge, Facts, Refused, Scored},
    convert,
    inference::{
        ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
        ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
        ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
        grpc_inference_service_server::GrpcInferenceService,
    },
};
use crate::{engine::Failure, http::oip, state::State};

/// Answers from what the bridge knows and scores.
pub struct Inference {
    bridge: Bridge,
    state: Arc<State>,
    max_batch: usize,
}

impl Inference {
    /// At most `max_batch` rows a request.
    pub fn new(bridge: Bridge, state: Arc<State>, max_batch: usize) -> Self {
        Self {
            bridge,
            state,
            max_batch,
        }
    }

    /// The model in service, when it is the one that is asked for.
    fn facts(&self, name: &str, version: &str) -> Result<Arc<Facts>, Status> {
        let facts = self.bridge.facts().ok_or_else(no_model)?;
        oip::check_model(name, version, &facts.name, &facts.version)
            .map_err(|unknown| Status::not_found(unknown.0))?;
        Ok(facts)
    }
}

fn no_model() -> Status {
    Status::unavailable("no model is ready")
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.state.is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let asked = request.into_inner();
        self.facts(&asked.name, &asked.version)?;
        let ready = self.state.is_ready();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let (name, version) = oip::SERVER;
        Ok(Response::new(ServerMetadataResponse {
            name: name.to_owned(),
            version: version.to_owned(),
            extensions: oip::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let asked = request.into_inner();
        let facts = self.facts(&asked.name, &asked.version)?;
        Ok(Response::new(convert::metadata(&facts)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let request = request.into_inner();
        let facts = self.facts(&request.model_name, &request.model_version)?;
        let mut work = convert::work(&request, facts.width, self.max_batch)
            .map_err(|invalid| Status::invalid_argument(invalid.0))?;
        let ModelInferRequest {
            id,
            model_name,
            model_version,
            ..
        } = request;
        let rows = std::mem::take(&mut work.rows);
        let scored = self.bridge.score(rows).await.map_err(|refused| match refused {
            Refused::Busy => Status::resource_exhausted("too many requests wait; try again"),
            Refused::NoModel => no_model(),
        })?;
        let Scored { by, rows } = scored;
        if by != *facts {
            // Another model has come into service meanwhile: it answers whom it suits.
            oip::check_model(&model_name, &model_version, &by.name, &by.version)
                .map_err(|unknown| Status::not_found(unknown.0))?;
        }
        let scored = rows.into_iter().enumerate();
        let scored: Vec<_> = scored
            .map(|(row, score)| score.map_err(|failure| unscored(row, failure)))
            .collect::<Result<_, _>>()?;
        Ok(Response::new(convert::response(&by, id, &work, &scored)))
    }
}

/// The codes of what `oip` says of a row without a score.
fn unscored(row: usize, failure: Failure) -> Status {
    let sentence = oip::sentence(row, failure);
    match failure {
        Failure::Engine | Failure::NotAProbability => Status::internal(sentence),
        Failure::Deadline => Status::deadline_exceeded(sentence),
        Failure::Overloaded => Status::resource_exhausted(sentence),
    }
}
