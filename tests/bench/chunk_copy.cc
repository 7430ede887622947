// `chunk_copy FILE...`: the size of one compressed copy of these files in dtest's own terms, as four numbers: bytes,
// chunks, bytes of the different chunks, bytes of those compressed as dtest compresses them (zstd -3, each by itself).

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "protocol/chunking.h"
#include "unit/protocol/chunk_file.h"

int main(int argc, char** argv) {
  size_t bytes = 0, chunks = 0, unique = 0, compressed = 0;
  std::set<std::string> seen;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::string contents((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file) {
      std::fprintf(stderr, "chunk_copy: cannot read %s\n", argv[i]);
      return 1;
    }
    bytes += contents.size();
    size_t at = 0;
    for (const dtest::ChunkRef& chunk : dtest::ChunkFile(contents).chunks) {
      ++chunks;
      if (seen.insert(chunk.digest.Hex()).second) {
        unique += chunk.size;
        compressed += dtest::Compress(absl::string_view(contents).substr(at, chunk.size), 3).size();
      }
      at += chunk.size;
    }
  }
  std::printf("%zu %zu %zu %zu\n", bytes, chunks, unique, compressed);
}
