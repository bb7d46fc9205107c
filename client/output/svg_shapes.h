#ifndef ATTUNE_CLIENT_OUTPUT_SVG_SHAPES_H_
#define ATTUNE_CLIENT_OUTPUT_SVG_SHAPES_H_

#include <string>
#include <string_view>
#include <vector>

#include "client/output/markup.h"

// Shapes of SVG, styled by the classes of the page (html_page.h). Coordinates
// are in units of the drawing, y downwards. Pure functions.
namespace attune::client {

struct Point {
  double x;
  double y;
};

struct Box {
  double x;
  double y;
  double width;
  double height;
};

// The colours that a page has in its light and in its dark form.
enum class Tone { kBlue, kAmber, kGreen, kRed, kGrey };
std::string_view ToneClass(Tone tone);

// "12.5": at most two decimals; 0 for what is not finite.
std::string Coordinate(double value);

enum class Anchor { kStart, kMiddle, kEnd };

// `tooltip` is what a reader sees who points at the shape, if not empty.
Markup SvgLine(Point from, Point to, std::string_view classes);
Markup SvgCurve(const std::vector<Point>& points, std::string_view classes);
Markup SvgBox(const Box& box, std::string_view classes,
              std::string_view tooltip = "");
Markup SvgDot(Point centre, double radius, std::string_view classes,
              std::string_view tooltip = "");
Markup SvgText(Point at, std::string_view text, std::string_view classes,
               Anchor anchor);
// Upwards, beginning (or ending, by `anchor`) at `at`.
Markup SvgUpwardText(Point at, std::string_view text, std::string_view classes,
                     Anchor anchor);

// A drawing that fills the width it gets, but is not much larger than its units
// in pixels. `description` is for those who cannot see it; without one it is an
// ornament.
Markup Svg(double width, double height, std::string_view description,
           const Markup& content);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_SVG_SHAPES_H_
