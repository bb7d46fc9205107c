#include "client/output/svg_shapes.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

// A small drawing on a wide page would have huge letters.
constexpr double kLargestScale = 1.15;

std::string AnchorName(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

Markup Shape(std::string_view name, const Markup::Attributes& attributes,
             std::string_view tooltip) {
  if (tooltip.empty()) return Markup::Leaf(name, attributes);
  return Markup::Element(name, attributes,
                         Markup::Element("title", {}, Markup::Text(tooltip)));
}

}  // namespace

std::string_view ToneClass(Tone tone) {
  switch (tone) {
    case Tone::kBlue:
      return "blue";
    case Tone::kAmber:
      return "amber";
    case Tone::kGreen:
      return "green";
    case Tone::kRed:
      return "red";
    case Tone::kGrey:
      return "grey";
  }
  return "grey";
}

std::string Coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = absl::StrFormat("%.2f", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

Markup SvgLine(Point from, Point to, std::string_view classes) {
  return Markup::Leaf("line", {{"x1", Coordinate(from.x)},
                               {"y1", Coordinate(from.y)},
                               {"x2", Coordinate(to.x)},
                               {"y2", Coordinate(to.y)},
                               {"class", std::string(classes)}});
}

Markup SvgCurve(const std::vector<Point>& points, std::string_view classes) {
  std::string places;
  for (const Point& point : points) {
    if (!places.empty()) places += ' ';
    places += Concat(Coordinate(point.x), ",", Coordinate(point.y));
  }
  return Markup::Leaf("polyline",
                      {{"points", places}, {"class", std::string(classes)}});
}

Markup SvgBox(const Box& box, std::string_view classes,
              std::string_view tooltip) {
  return Shape("rect",
               {{"x", Coordinate(box.x)},
                {"y", Coordinate(box.y)},
                {"width", Coordinate(box.width)},
                {"height", Coordinate(box.height)},
                {"class", std::string(classes)}},
               tooltip);
}

Markup SvgDot(Point centre, double radius, std::string_view classes,
              std::string_view tooltip) {
  return Shape("circle",
               {{"cx", Coordinate(centre.x)},
                {"cy", Coordinate(centre.y)},
                {"r", Coordinate(radius)},
                {"class", std::string(classes)}},
               tooltip);
}

Markup SvgText(Point at, std::string_view text, std::string_view classes,
               Anchor anchor) {
  return Markup::Element("text",
                         {{"x", Coordinate(at.x)},
                          {"y", Coordinate(at.y)},
                          {"text-anchor", AnchorName(anchor)},
                          {"class", std::string(classes)}},
                         Markup::Text(text));
}

Markup SvgUpwardText(Point at, std::string_view text, std::string_view classes,
                     Anchor anchor) {
  return Markup::Element(
      "text",
      {{"transform", Concat("translate(", Coordinate(at.x), " ",
                            Coordinate(at.y), ") rotate(-90)")},
       {"text-anchor", AnchorName(anchor)},
       {"class", std::string(classes)}},
      Markup::Text(text));
}

Markup Svg(double width, double height, std::string_view description,
           const Markup& content) {
  Markup::Attributes attributes = {
      {"viewBox", Concat("0 0 ", Coordinate(width), " ", Coordinate(height))},
      {"style", Concat("max-width:", Coordinate(width * kLargestScale), "px")}};
  if (description.empty()) {
    attributes.push_back({"aria-hidden", "true"});
  } else {
    attributes.push_back({"role", "img"});
    attributes.push_back({"aria-label", std::string(description)});
  }
  return Markup::Element("svg", attributes, content);
}

}  // namespace attune::client
