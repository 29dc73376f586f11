//! Exports the totals, and imports them into another process.

use std::sync::Arc;

use actix::{Handler, Message, MessageResult};
use serde::{Deserialize, Serialize};

use super::{Ledger, Rows, Totals};
use crate::observe::Observe;

/// The totals of this process and of the processes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedTotals {
    rows: Vec<ExportedRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedRow {
    provider: String,
    model: String,
    totals: Totals,
}

/// Adds exported totals to those of this process, and replaces totals that were imported before.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ImportTotals(pub(crate) ExportedTotals);

impl From<&Rows> for ExportedTotals {
    fn from(rows: &Rows) -> Self {
        let export = |(provider, model, totals): (&str, &str, &Totals)| ExportedRow {
            provider: provider.to_owned(),
            model: model.to_owned(),
            totals: *totals,
        };
        Self { rows: rows.iter().map(export).collect() }
    }
}

impl From<ExportedTotals> for Rows {
    fn from(exported: ExportedTotals) -> Self {
        let mut rows = Self::default();
        for ExportedRow { provider, model, totals } in exported.rows {
            rows.add((Arc::from(provider), Arc::from(model)), &totals);
        }
        rows
    }
}

impl Handler<Observe<ExportedTotals>> for Ledger {
    type Result = MessageResult<Observe<ExportedTotals>>;

    fn handle(&mut self, _: Observe<ExportedTotals>, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(ExportedTotals::from(&self.rows()))
    }
}

impl Handler<ImportTotals> for Ledger {
    type Result = ();

    fn handle(&mut self, ImportTotals(exported): ImportTotals, _: &mut Self::Context) {
        self.totals.imported = Rows::from(exported);
        self.slot.save(&self.totals);
    }
}
