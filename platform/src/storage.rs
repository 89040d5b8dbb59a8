//! Objects in S3: multipart uploads by presigned URLs, ranged reads, and deletion of every version.

use std::time::Duration;

use aws_sdk_s3::{
    Client, Config,
    config::timeout::TimeoutConfig,
    error::{ProvideErrorMetadata, SdkError},
    presigning::PresigningConfig,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier},
};
use bytes::{Bytes, BytesMut};

use crate::faults;

/// How long S3 may take to put an object together, which with thousands of parts is longer than for any other call:
/// for one attempt, and with all of them. Below the limit of a request, so that the caller hears what was slow.
const ASSEMBLY: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(25));

/// Why storage did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered, or not in time; worth a retry.
    #[error("away ({0})")]
    Unavailable(String),
    /// No object or upload of that name.
    #[error("there is no such object")]
    NotFound,
    /// S3 refuses the parts that were named.
    #[error("S3 refused the parts: {0}")]
    InvalidParts(String),
    /// Anything else.
    #[error("{0}")]
    Unexpected(String),
}

/// A part that S3 has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: i32,
    /// Its entity tag, with quotes.
    pub etag: String,
    /// Bytes.
    pub size: i64,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    /// Its entity tag, with quotes.
    pub etag: String,
}

/// One bucket.
#[derive(Clone)]
pub struct Storage {
    client: Client,
    bucket: String,
}

impl Storage {
    /// The bucket that holds videos.
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Begins a multipart upload to `key`, or answers the one that was begun before and never finished.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn begin_upload(&self, key: &str, content_type: &str) -> Result<String, Error> {
        let begun =
            self.client.list_multipart_uploads().bucket(&self.bucket).prefix(key).send().await.map_err(classify)?;
        faults::after("s3.list_multipart_uploads");
        if let Some(id) = begun.uploads().iter().find(|u| u.key() == Some(key)).and_then(|u| u.upload_id()) {
            return Ok(id.to_owned());
        }
        let made = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .send()
            .await
            .map_err(classify)?;
        faults::after("s3.create_multipart_upload");
        made.upload_id().map(str::to_owned).ok_or_else(|| Error::Unexpected("no upload id".into()))
    }

    /// A URL to which exactly `size` bytes of part `number` can be PUT, and the headers to send with them.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if it can't be signed.
    pub async fn presign_part(
        &self,
        key: &str,
        upload_id: &str,
        number: i32,
        size: i64,
        valid: Duration,
    ) -> Result<(String, Vec<(String, String)>), Error> {
        let unexpected = |error: &dyn std::fmt::Display| Error::Unexpected(error.to_string());
        let config = PresigningConfig::expires_in(valid).map_err(|error| unexpected(&error))?;
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id)
            .part_number(number)
            .content_length(size)
            .presigned(config)
            .await
            .map_err(|error| unexpected(&error))?;
        let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((request.uri().to_owned(), headers))
    }

    /// The parts received so far, in order.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the upload is finished or gone.
    pub async fn parts(&self, key: &str, upload_id: &str) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let page = self
                .client
                .list_parts()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload_id)
                .set_part_number_marker(marker)
                .send()
                .await
                .map_err(classify)?;
            faults::after("s3.list_parts");
            for part in page.parts() {
                parts.push(Part {
                    number: part.part_number().unwrap_or_default(),
                    etag: part.e_tag().unwrap_or_default().to_owned(),
                    size: part.size().unwrap_or_default(),
                });
            }
            marker = page.next_part_number_marker().map(str::to_owned);
            if !page.is_truncated().unwrap_or(false) || marker.is_none() {
                return Ok(parts);
            }
        }
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the upload is finished already or gone, [`Error::InvalidParts`].
    pub async fn complete_upload(&self, key: &str, upload_id: &str, parts: Vec<(i32, String)>) -> Result<(), Error> {
        let parts = parts
            .into_iter()
            .map(|(number, etag)| CompletedPart::builder().part_number(number).e_tag(etag).build())
            .collect();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            .config_override(Config::builder().timeout_config(patient()))
            .send()
            .await
            .map_err(classify)?;
        faults::after("s3.complete_multipart_upload");
        Ok(())
    }

    /// Gives the unfinished uploads to `key` up; none is fine.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn abort_uploads(&self, key: &str) -> Result<(), Error> {
        let begun =
            self.client.list_multipart_uploads().bucket(&self.bucket).prefix(key).send().await.map_err(classify)?;
        faults::after("s3.list_multipart_uploads");
        for upload in begun.uploads().iter().filter(|upload| upload.key() == Some(key)) {
            self.abort_upload(key, upload.upload_id().unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Gives one unfinished upload to `key` up; none is fine.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn abort_upload(&self, key: &str, upload_id: &str) -> Result<(), Error> {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload_id);
        match abort.send().await.map_err(classify) {
            Ok(_) | Err(Error::NotFound) => {
                faults::after("s3.abort_multipart_upload");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What is known of the object without reading it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let head = self.client.head_object().bucket(&self.bucket).key(key).send().await.map_err(classify)?;
        faults::after("s3.head_object");
        Ok(Object {
            size: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0),
            etag: head.e_tag().unwrap_or_default().to_owned(),
        })
    }

    /// `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(&self, key: &str, offset: u64, length: u64) -> Result<Bytes, Error> {
        let last = offset + length.max(1) - 1;
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .range(format!("bytes={offset}-{last}"))
            .send()
            .await
            .map_err(classify)?;
        faults::after("s3.get_object");
        let mut body: ByteStream = answer.body;
        // Into its place piece by piece: collected and then joined, it would take twice its length.
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        while let Some(piece) = body.try_next().await.map_err(|error| Error::Unavailable(error.to_string()))? {
            if bytes.len() + piece.len() > bytes.capacity() {
                return Err(Error::Unexpected("more bytes than were asked for".into()));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Deletes every version of the object, and every delete marker; none is fine.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_all_versions(&self, key: &str) -> Result<(), Error> {
        loop {
            let page =
                self.client.list_object_versions().bucket(&self.bucket).prefix(key).send().await.map_err(classify)?;
            faults::after("s3.list_object_versions");
            let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
            let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
            let mut doomed = Vec::new();
            for (_, version) in versions.chain(markers).filter(|(found, _)| *found == Some(key)) {
                let id = ObjectIdentifier::builder().key(key).set_version_id(version.map(str::to_owned));
                doomed.push(id.build().map_err(|error| Error::Unexpected(error.to_string()))?);
            }
            if doomed.is_empty() {
                return Ok(());
            }
            let delete = Delete::builder().set_objects(Some(doomed)).build();
            let delete = delete.map_err(|error| Error::Unexpected(error.to_string()))?;
            let answer =
                self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await.map_err(classify)?;
            faults::after("s3.delete_objects");
            if let Some(error) = answer.errors().first() {
                return Err(Error::Unexpected(format!("a version was not deleted: {:?}", error.code())));
            }
        }
    }
}

fn patient() -> TimeoutConfig {
    let (attempt, all) = ASSEMBLY;
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(all).build()
}

/// What an SDK's error means here. Messages name codes, never content.
fn classify<E: ProvideErrorMetadata + std::fmt::Debug>(
    error: SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> Error {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error.code() {
        Some("NoSuchKey" | "NoSuchUpload" | "NotFound") => Error::NotFound,
        Some(code @ ("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" | "MalformedXML")) => {
            Error::InvalidParts(code.to_owned())
        }
        // S3 may say so with any status: it begins to answer a completion with 200 before it knows.
        Some(code @ ("InternalError" | "ServiceUnavailable" | "SlowDown" | "RequestTimeout")) => {
            Error::Unavailable(code.to_owned())
        }
        Some(code) if status.is_none_or(|status| status < 500) => Error::Unexpected(code.to_owned()),
        code => match (&error, status) {
            (_, Some(404)) => Error::NotFound,
            (SdkError::ConstructionFailure(_), _) => Error::Unexpected(format!("{error:?}")),
            _ => Error::Unavailable(code.map_or_else(|| "no answer".to_owned(), str::to_owned)),
        },
    }
}
