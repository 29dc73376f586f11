//! Styles, scripts and images, inside the binary. The name of each contains the hash of its content, so that browsers may keep it
//! for ever; a module imports another by its plain name, which is replaced here.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use flate2::Compression;
use sha2::{Digest as _, Sha256};

use super::respond::{gzip, takes_gzip, with_policy};

/// The address of every asset begins with it.
const PREFIX: &str = "/dashboard/assets/";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// In this order: an asset may import those above it.
const SOURCES: [Source; 6] = [
    Source {
        name: "app.css",
        kind: "text/css; charset=utf-8",
        parts: &[include_str!("assets/app.css"), include_str!("assets/vendor/uPlot.min.css")],
    },
    Source { name: "icon.svg", kind: "image/svg+xml", parts: &[include_str!("assets/icon.svg")] },
    Source { name: "app.js", kind: SCRIPT, parts: &[include_str!("assets/app.js")] },
    Source { name: "uplot.js", kind: SCRIPT, parts: &[include_str!("assets/vendor/uPlot.iife.min.js")] },
    Source { name: "charts.js", kind: SCRIPT, parts: &[include_str!("assets/charts.js")] },
    Source { name: "requests.js", kind: SCRIPT, parts: &[include_str!("assets/requests.js")] },
];

struct Source {
    name: &'static str,
    kind: &'static str,
    /// Joined in this order.
    parts: &'static [&'static str],
}

/// One file as it is served.
struct Asset {
    /// Its plain name.
    name: &'static str,
    /// Its name with the hash.
    hashed: String,
    kind: &'static str,
    plain: Bytes,
    gzip: Option<Bytes>,
}

/// Made when the first page is asked for.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    SOURCES.iter().fold(vec![], |mut made, source| {
        made.push(Asset::new(source, &made));
        made
    })
});

impl Asset {
    fn new(source: &Source, earlier: &[Self]) -> Self {
        let text = earlier.iter().fold(source.parts.concat(), |text, asset| {
            text.replace(&format!("\"./{}\"", asset.name), &format!("\"./{}\"", asset.hashed))
        });
        let digest = Sha256::digest(text.as_bytes());
        let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let (stem, end) = source.name.rsplit_once('.').unwrap_or((source.name, ""));
        let gzip = gzip(text.as_bytes(), Compression::best()).map(Bytes::from);
        let hashed = format!("{stem}.{hash}.{end}");
        Self { name: source.name, hashed, kind: source.kind, plain: text.into(), gzip }
    }
}

/// The address of the asset with this plain name.
pub(super) fn address(name: &str) -> String {
    let hashed = ASSETS.iter().find(|asset| asset.name == name).map_or(name, |asset| &asset.hashed);
    format!("{PREFIX}{hashed}")
}

/// `GET /dashboard/assets/{name}`
pub(crate) async fn asset(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let Some(asset) = ASSETS.iter().find(|asset| asset.hashed == *name) else {
        return with_policy(StatusCode::NOT_FOUND)
            .content_type("text/plain; charset=utf-8")
            .body("no such file; reload the page");
    };
    let tag = format!("\"{}\"", asset.hashed);
    let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let is_known = known.into_iter().any(|value| value.contains(&tag));
    let mut response = with_policy(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "accept-encoding"));
    if is_known {
        return response.finish();
    }
    response.content_type(asset.kind);
    match asset.gzip.as_ref().filter(|_| takes_gzip(&request)) {
        Some(gzip) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(gzip.clone()),
        None => response.body(asset.plain.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: modules import one another by the names under which they are served.
    #[test]
    fn imports_name_the_hash() {
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT) {
            let text = std::str::from_utf8(&asset.plain).unwrap();
            let imports = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            for import in imports {
                assert!(ASSETS.iter().any(|other| other.hashed == import), "{} imports {import}", asset.name);
            }
        }
    }

    /// Requirement: the scripts that we write stay small.
    #[test]
    fn scripts_stay_small() {
        for asset in ASSETS.iter().filter(|asset| asset.name.ends_with(".js") && asset.name != "uplot.js") {
            let size = asset.gzip.as_ref().unwrap().len();
            assert!(size < 15_000, "{} has {size} bytes", asset.name);
        }
    }
}
