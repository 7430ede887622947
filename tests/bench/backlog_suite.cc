// 300 cases of 50 ms.

#include "sleeping.h"

std::vector<double> Seconds() { return std::vector<double>(300, 0.05); }
