// Shortest paths: cases that take a moment, so that slots have something to do at once.

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <vector>

namespace {

using Matrix = std::vector<std::vector<int>>;

Matrix RandomGraph(int nodes, unsigned seed) {
  std::mt19937 random(seed);
  Matrix graph(nodes, std::vector<int>(nodes));
  for (auto& row : graph) {
    for (int& edge : row) edge = static_cast<int>(random() % 1000) + 1;
  }
  return graph;
}

// Floyd-Warshall.
Matrix ShortestPaths(Matrix graph) {
  const size_t n = graph.size();
  for (size_t k = 0; k < n; ++k) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) graph[i][j] = std::min(graph[i][j], graph[i][k] + graph[k][j]);
    }
  }
  return graph;
}

class Route : public testing::TestWithParam<unsigned> {};

TEST_P(Route, NeverLongerThanTheDirectWay) {
  const Matrix graph = RandomGraph(200, GetParam());
  const Matrix paths = ShortestPaths(graph);
  for (size_t i = 0; i < graph.size(); ++i) {
    for (size_t j = 0; j < graph.size(); ++j) ASSERT_LE(paths[i][j], graph[i][j]);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Route, testing::Range(0u, 40u));

TEST(RouteMap, NeedsTheAtlas) { GTEST_SKIP() << "the atlas is not part of the example"; }

}  // namespace
