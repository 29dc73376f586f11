//! Models: those of all providers in one table, a slice at a time, and the recommended ones.

use std::time::Duration;

use askama::Template;
use serde::Serialize;
use vandamme_protocol::models::top::TopModel;

use crate::dashboard::page::{Context, Page, PageError, Query, Shell};
use crate::dashboard::units::Elapsed;
use crate::models::{self, TopList, TopQuery};
use crate::views::models::{self as listed, ModelListState, ModelOrder, ModelQuery, ModelRow, ModelSlice};

/// The number of models that are shown at first.
const SLICE: usize = 100;
/// What stands for the models of all providers.
const ALL: &str = "*";

pub(super) const PAGE: Page = Page {
    name: "models",
    title: "Models",
    scripts: &["operate.js", "models.js"],
    render: |context| Box::pin(render(context)),
    data: |context| {
        Box::pin(async move {
            let query = model_query(&context)?;
            Ok(serde_json::to_value(listed::read(&context.gateway, &query).await)?)
        })
    },
};

#[derive(Template)]
#[template(path = "models.html")]
struct ModelsPage<'p> {
    shell: &'p Shell,
    query: &'p ModelQuery,
    slice: &'p ModelSlice,
    /// The list of the chosen provider.
    shown: Option<&'p ModelListState>,
    rows: Vec<Row<'p>>,
    columns: Vec<Column>,
    /// The address of the next slice, if there is one.
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "models_top.html")]
struct TopPage<'p> {
    shell: &'p Shell,
    top: Option<&'p TopList>,
    rows: Vec<TopRow<'p>>,
    error: Option<String>,
    /// The suggested aliases as lines of a configuration file.
    toml: String,
}

/// A model with its texts.
#[derive(Debug, Serialize)]
struct Row<'m> {
    model: &'m ModelRow,
    context: String,
    max_output: String,
    input: String,
    output: String,
}

/// A recommended model with its texts.
struct TopRow<'m> {
    model: &'m TopModel,
    context: String,
    input: String,
    output: String,
}

/// The head of a column that sorts.
struct Column {
    title: &'static str,
    /// The address that sorts by it.
    address: String,
    /// The value of `aria-sort`.
    sorted: &'static str,
    is_number: bool,
}

async fn render(context: Context) -> Result<String, PageError> {
    if context.query.get("tab") == Some("top") {
        return render_top(&context).await;
    }
    let query = model_query(&context)?;
    let slice = listed::read(&context.gateway, &query).await;
    let next = slice.offset + slice.models.len();
    let more = (next < slice.total).then(|| address(&context.query, &[("offset", &next.to_string())]));
    let page = ModelsPage {
        shell: &context.shell,
        shown: slice.lists.iter().find(|list| query.provider.as_ref() == Some(&list.provider)),
        rows: slice.models.iter().map(Row::new).collect(),
        columns: columns(&context.query, &query),
        query: &query,
        slice: &slice,
        more,
    };
    Ok(page.render()?)
}

async fn render_top(context: &Context) -> Result<String, PageError> {
    let listed = models::top_models(&context.gateway, &TopQuery::default()).await;
    let (top, error) = match &listed {
        Ok(top) => (Some(top), None),
        Err(unavailable) => (None, Some(unavailable.message.clone())),
    };
    let toml = top.map(aliases_toml).unwrap_or_default();
    let rows = top.iter().flat_map(|top| &top.models).map(TopRow::new).collect();
    Ok(TopPage { shell: &context.shell, top, rows, error, toml }.render()?)
}

/// The suggested aliases, to be pasted into a configuration file.
fn aliases_toml(top: &TopList) -> String {
    let lines = top.suggested_aliases.iter().map(|(alias, id)| format!("{alias} = \"openrouter:{id}\"\n"));
    match lines.collect::<String>() {
        lines if lines.is_empty() => lines,
        lines => format!("[\"#top-picks\".aliases]\n{lines}"),
    }
}

/// The filters in the page's address; without a provider those of the default one.
fn model_query(context: &Context) -> Result<ModelQuery, PageError> {
    let query = &context.query;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let is_set = |name: &str| query.get(name).is_some_and(|value| matches!(value, "1" | "true" | "on"));
    let default =
        || context.gateway.live_config().settings.default_provider.as_ref().map(ToString::to_string);
    let sort = match query.get("sort").filter(|name| !name.is_empty()) {
        Some(name) => ModelOrder::parse(name)
            .ok_or_else(|| PageError::new(400, "There is no column of this name to sort by."))?,
        None => ModelOrder::default(),
    };
    Ok(ModelQuery {
        provider: text("provider").or_else(default).filter(|name| name != ALL),
        text: text("q"),
        vendor: text("vendor"),
        modality: text("modality"),
        tools: is_set("tools"),
        vision: is_set("vision"),
        free: is_set("free"),
        sort,
        descending: query.get("order") == Some("desc"),
        offset: query.get("offset").and_then(|offset| offset.parse().ok()).unwrap_or_default(),
        limit: SLICE,
    })
}

/// The page's address with these parameters changed.
fn address(query: &Query, changed: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for name in ["provider", "q", "vendor", "modality", "tools", "vision", "free", "sort", "order", "offset"]
    {
        let new = changed.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
        if let Some(value) = new.or_else(|| query.get(name)).filter(|value| !value.is_empty()) {
            text.append_pair(name, value);
        }
    }
    format!("/dashboard/models?{}", text.finish())
}

fn columns(query: &Query, used: &ModelQuery) -> Vec<Column> {
    let column = |title, name: &str, order: ModelOrder, is_number| {
        let is_sorted = used.sort == order;
        let next = if is_sorted && !used.descending { "desc" } else { "asc" };
        let sorted = match (is_sorted, used.descending) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        let address = address(query, &[("sort", name), ("order", next), ("offset", "")]);
        Column { title, address, sorted, is_number }
    };
    vec![
        column("Model", "id", ModelOrder::Id, false),
        column("Context", "context", ModelOrder::Context, true),
        column("Max out", "max_output", ModelOrder::MaxOutput, true),
        column("$/M in", "input", ModelOrder::InputPrice, true),
        column("$/M out", "output", ModelOrder::OutputPrice, true),
        column("Created", "created", ModelOrder::Created, false),
    ]
}

impl<'m> Row<'m> {
    fn new(model: &'m ModelRow) -> Self {
        let tokens = |tokens: Option<u64>| tokens.map_or_else(|| "–".to_owned(), shortened);
        let price = |price: Option<f64>| price.map_or_else(|| "–".to_owned(), dollars);
        let details = &model.details;
        Self {
            context: tokens(details.context),
            max_output: tokens(details.max_output),
            input: price(details.pricing.input),
            output: price(details.pricing.output),
            model,
        }
    }

    fn created(&self) -> &str {
        self.model.details.created.as_deref().and_then(|time| time.get(..10)).unwrap_or("–")
    }
}

/// `200k` and `1M`, as vendors write them; exact numbers otherwise.
fn shortened(tokens: u64) -> String {
    match tokens {
        tokens if tokens >= 1_000_000 && tokens.is_multiple_of(1_000) => format!("{}M", tokens as f64 / 1e6),
        tokens if tokens >= 10_000 && tokens.is_multiple_of(1_000) => format!("{}k", tokens / 1_000),
        tokens => tokens.to_string(),
    }
}

/// A price per million tokens: two decimal places, and up to four if it has them.
fn dollars(price: f64) -> String {
    if price == 0.0 {
        return "free".to_owned();
    }
    let exact = format!("{price:.4}");
    let shortest = exact.len() - 2;
    let end = exact.trim_end_matches('0').len().max(shortest);
    exact[..end].to_owned()
}

impl ModelListState {
    fn age(&self) -> Option<Elapsed> {
        self.age_seconds.map(|seconds| Elapsed(Some(Duration::from_secs(seconds))))
    }

    fn ttl(&self) -> Elapsed {
        Elapsed(Some(Duration::from_secs(self.ttl_seconds)))
    }
}

impl<'m> TopRow<'m> {
    fn new(model: &'m TopModel) -> Self {
        let price = |price: Option<f64>| price.map_or_else(|| "–".to_owned(), dollars);
        Self {
            context: model.context_window.map_or_else(|| "–".to_owned(), shortened),
            input: price(model.pricing.input),
            output: price(model.pricing.output),
            model,
        }
    }

    /// The number by which the table sorts; empty if it is not known.
    fn sort(value: Option<f64>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }

    fn sort_context(&self) -> String {
        self.model.context_window.map(|tokens| tokens.to_string()).unwrap_or_default()
    }

    fn sort_input(&self) -> String {
        Self::sort(self.model.pricing.input)
    }

    fn sort_output(&self) -> String {
        Self::sort(self.model.pricing.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_sizes_are_short_and_true() {
        for (tokens, text) in [
            (4096, "4096"),
            (128_000, "128k"),
            (131_072, "131072"),
            (1_000_000, "1M"),
            (1_048_576, "1048576"),
        ] {
            assert_eq!(shortened(tokens), text);
        }
        for (price, text) in
            [(0.0, "free"), (3.0, "3.00"), (0.125, "0.125"), (0.05, "0.05"), (0.0375, "0.0375")]
        {
            assert_eq!(dollars(price), text);
        }
    }

    #[test]
    fn an_address_keeps_the_other_filters() {
        let query = Query::parse("provider=poe&q=a+b&offset=100&tab=x");
        assert_eq!(
            address(&query, &[("sort", "id"), ("offset", "")]),
            "/dashboard/models?provider=poe&q=a+b&sort=id"
        );
    }
}
