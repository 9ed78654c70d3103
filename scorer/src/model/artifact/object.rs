//! An object in a cloud's store, through the crate object_store: it knows the protocols and how to sign for them.

use std::{future::ready, pin::Pin};

use futures::StreamExt;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore, RetryConfig,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    client::{
        ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService,
    },
    gcp::GoogleCloudStorageBuilder,
    path::Path,
};
use reqwest::{Client, Url};

use super::{
    download,
    error::{FetchError, FetchReason, fail, try_again},
    guard, identity,
    resume::{Answer, Body, Point},
    settings::Settings,
    source::{Cloud, Object},
};

/// A store that is ready to be asked for one object.
pub struct Store {
    store: Box<dyn ObjectStore>,
    path: Path,
    place: String,
    settings: Settings,
}

impl Store {
    /// Finds credentials and builds the client; asks nobody yet.
    pub fn open(
        object: &Object,
        mut settings: Settings,
        instance_metadata: bool,
        plain: &[String],
    ) -> Result<Self, FetchError> {
        // The key of a service account is handed out as a JSON file with a name of its own.
        let json = settings.iter().find(|(name, _)| name.ends_with(".JSON"));
        if let Some(key) = json
            .map(|(_, key)| key.to_owned())
            .filter(|_| object.cloud == Cloud::Gs)
        {
            settings.add("GOOGLE_SERVICE_ACCOUNT_KEY", key);
        }
        if let Some(missing) = identity::missing(object.cloud, &settings, instance_metadata) {
            return fail(FetchReason::Unauthorized, missing);
        }
        let connector = Connector {
            data: Guarded {
                client: download::client(plain)?,
                plain: plain.to_vec(),
            },
            metadata: instance_metadata.then(download::metadata_client).transpose()?,
        };
        let unusable = |error: &Error| {
            let message = settings.redact(&format!("the store's settings are unusable: {}", chain(error)));
            fail(FetchReason::Unauthorized, message)
        };
        let store = build(object, &settings, connector).or_else(|error| unusable(&error))?;
        Ok(Self {
            store,
            path: Path::parse(&object.key)
                .or_else(|error| fail(FetchReason::InvalidUri, error.to_string()))?,
            place: format!("{}://{}/{}", object.cloud.scheme(), object.bucket, object.key),
            settings,
        })
    }

    /// Asks for the object, or for its rest.
    pub async fn get(&self, point: Option<Point>) -> Result<Answer, FetchError> {
        let options = match point {
            None => GetOptions::default(),
            Some(point) => GetOptions {
                range: Some(GetRange::Offset(point.offset)),
                if_match: point.etag,
                ..GetOptions::default()
            },
        };
        let found = match self.store.get_opts(&self.path, options).await {
            Ok(found) => found,
            Err(Error::Precondition { .. } | Error::NotModified { .. }) => return Ok(Answer::Changed),
            Err(error) => return Err(self.meaning(&error)),
        };
        let (place, settings) = (self.place.clone(), self.settings.clone());
        Ok(Answer::Body(Body {
            offset: found.range.start,
            total: Some(found.meta.size),
            etag: found.meta.e_tag.clone().filter(|etag| !etag.starts_with("W/")),
            bytes: found
                .into_stream()
                .map(move |piece| {
                    piece.map_err(|error| try_again(format!("{place}: {}", settings.redact(&chain(&error)))))
                })
                .boxed(),
        }))
    }

    fn meaning(&self, error: &Error) -> FetchError {
        let place = &self.place;
        let stays = |reason, message| FetchError {
            reason,
            message,
            transient: false,
        };
        match error {
            Error::NotFound { .. } => stays(FetchReason::NotFound, format!("there is no {place}")),
            // Without the store's words: they may quote what was sent.
            Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => stays(
                FetchReason::Unauthorized,
                format!(
                    "{place}: the store refuses these credentials; check them, their rights, and the key"
                ),
            ),
            other => {
                let text = format!("{place}: {}", self.settings.redact(&chain(other)));
                if download::is_refusal(other) {
                    stays(FetchReason::AddressRefused, text)
                } else {
                    try_again(text)
                }
            }
        }
    }
}

/// Hands `settings` on by their names, without those that would take another way than ours.
macro_rules! configured {
    ($builder:expr, $settings:expr, $connector:expr) => {{
        let mut builder = $builder;
        let ours = |name: &str| !name.ends_with("_USE_EMULATOR") && !name.ends_with("_USE_AZURE_CLI");
        for (name, value) in $settings.iter().filter(|(name, _)| ours(name)) {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        // One place retries: ours, which also goes on in the middle of a file.
        let retry = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        builder
            .with_retry(retry)
            .with_client_options(ClientOptions::new())
            .with_http_connector($connector)
    }};
}

fn build(object: &Object, settings: &Settings, connector: Connector) -> Result<Box<dyn ObjectStore>, Error> {
    let bucket = &object.bucket;
    Ok(match object.cloud {
        Cloud::S3 => {
            let builder = configured!(AmazonS3Builder::new(), settings, connector);
            Box::new(builder.with_bucket_name(bucket).build()?)
        }
        Cloud::Gs => {
            let builder = configured!(GoogleCloudStorageBuilder::new(), settings, connector);
            Box::new(builder.with_bucket_name(bucket).build()?)
        }
        Cloud::Az => {
            let builder = configured!(MicrosoftAzureBuilder::new(), settings, connector);
            Box::new(builder.with_container_name(bucket).build()?)
        }
    })
}

/// Our clients for object_store: the guarded one, and for the metadata service another, if it is to be asked.
#[derive(Debug)]
struct Connector {
    data: Guarded,
    metadata: Option<Client>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient, Error> {
        // Only the metadata service is connected to with plain HTTP allowed by an option.
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp);
        Ok(match &self.metadata {
            Some(metadata) if plain.as_deref() == Some("true") => HttpClient::new(metadata.clone()),
            _ => HttpClient::new(self.data.clone()),
        })
    }
}

/// Looks at each url before it is asked: endpoints come from settings and from files in many forms.
#[derive(Clone, Debug)]
struct Guarded {
    client: Client,
    plain: Vec<String>,
}

/// What `async_trait` makes of the method below.
type Called<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Guarded {
    fn call<'s, 'a>(&'s self, request: HttpRequest) -> Called<'a>
    where
        's: 'a,
        Self: 'a,
    {
        let admitted = match Url::parse(&request.uri().to_string()) {
            Ok(url) => guard::check(&url, &self.plain).map_err(|e| HttpError::new(HttpErrorKind::Unknown, e)),
            Err(error) => Err(HttpError::new(HttpErrorKind::Unknown, error)),
        };
        match admitted {
            Ok(()) => self.client.call(request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// The error and its causes, in at most 500 characters.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut text = String::new();
    for cause in causes.map(ToString::to_string) {
        // Many of them repeat what their cause says.
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text.chars().take(500).collect()
}
