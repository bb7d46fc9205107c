#ifndef ATTUNE_CLIENT_COMMANDS_DATA_SUMMARY_H_
#define ATTUNE_CLIENT_COMMANDS_DATA_SUMMARY_H_

#include "attune/v1/report.pb.h"
#include "client/output/console.h"
#include "client/output/markup.h"

// What the rows of a job are made of, for reports and preflights, as text and
// for the page.
namespace attune::client {

using SplitSummaries = google::protobuf::RepeatedPtrField<v1::SplitSummary>;
using RenderedSamples = google::protobuf::RepeatedPtrField<v1::RenderedSample>;

// A row for each split. Nothing without splits.
void PrintSplits(const SplitSummaries& splits, Stream& out);

// How often each label is in each split; of many labels the rarest. Nothing for
// tasks without labels.
void PrintLabelBalance(const SplitSummaries& splits, Stream& out);

// Inputs with their line breaks, each under its split, row and answer.
void PrintSamples(const RenderedSamples& samples, Stream& out);

// All of these as tables of a page.
Markup DataFigures(const SplitSummaries& splits,
                   const RenderedSamples& samples);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_DATA_SUMMARY_H_
