// 2,000 cases of 10 ms.

#include "sleeping.h"

std::vector<double> Seconds() { return std::vector<double>(2000, 0.01); }
