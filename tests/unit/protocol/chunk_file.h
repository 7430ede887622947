// A whole file in memory as its chunks: what the product makes of a file on disk piece by piece (bundle/catalog.h).

#ifndef DTEST_TESTS_UNIT_PROTOCOL_CHUNK_FILE_H_
#define DTEST_TESTS_UNIT_PROTOCOL_CHUNK_FILE_H_

#include "absl/strings/string_view.h"
#include "protocol/chunking.h"

namespace dtest {

inline FileRecipe ChunkFile(absl::string_view contents) {
  FileRecipe recipe;
  while (!contents.empty()) {
    const size_t size = NextCut(contents);
    recipe.chunks.push_back({Sha256(contents.substr(0, size)), static_cast<uint32_t>(size)});
    contents.remove_prefix(size);
  }
  recipe.id = FileId(recipe.chunks);
  return recipe;
}

}  // namespace dtest

#endif  // DTEST_TESTS_UNIT_PROTOCOL_CHUNK_FILE_H_
