# Print the fixed effects of lme4 that tests/inference/test_mixed_models.py holds ours against:
#   Rscript tests/shared/lme4_numbers.R trials.tsv
# The table has the columns participant, x, z and y of `test_the_numbers_are_those_of_lme4`, with 6 decimals.
library(lme4)
trials <- read.delim(commandArgs(trailingOnly = TRUE)[1])
fitted <- lmer(y ~ x + z + (1 + x | participant), data = trials, REML = TRUE)
print(summary(fitted)$coefficients, digits = 10)
