#ifndef ATTUNE_TESTS_CLIENT_WELL_FORMED_H_
#define ATTUNE_TESTS_CLIENT_WELL_FORMED_H_

#include <string>
#include <string_view>

namespace attune::client {

// What is wrong with `markup` as a part of an XML document, with the place; or
// "". It must close what it opens in the right order, quote its attributes and
// escape its text. A document may begin with "<!DOCTYPE html>".
std::string WellFormedError(std::string_view markup);

// How often `part` stands in `text`.
int CountOf(std::string_view text, std::string_view part);

}  // namespace attune::client

#endif  // ATTUNE_TESTS_CLIENT_WELL_FORMED_H_
