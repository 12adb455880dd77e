"""The rubrieken of the aangifte omzetbelasting, as on the form of the Belastingdienst.

Concepts are those of bd-i (NT13 to NT20). A rubriek has a turnover, a tax, or both.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rubriek:
    """One line of the form. turnover and tax: names of concepts, "" where there is no column."""

    number: str
    nl: str
    en: str
    turnover: str = ""
    tax: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One numbered part of the form."""

    nl: str
    en: str
    rubrieken: tuple[Rubriek, ...]


#: What is to be paid (or, below zero, paid back).
TOTAL = "ValueAddedTaxOwedToBePaidBack"
OWED = "ValueAddedTaxOwed"
INPUT = "ValueAddedTaxOnInput"
#: The same of a suppletie.
TOTAL_EXTRA = "ValueAddedTaxToBePaidAdditionalToBePaidBack"

FORM: tuple[Block, ...] = (
    Block("1. Prestaties binnenland", "1. Domestic supplies and services", (
        Rubriek("1a", "Leveringen/diensten belast met hoog tarief",
                "Supplies/services taxed at the standard rate",
                "TaxedTurnoverSuppliesServicesGeneralTariff",
                "ValueAddedTaxSuppliesServicesGeneralTariff"),
        Rubriek("1b", "Leveringen/diensten belast met laag tarief",
                "Supplies/services taxed at the reduced rate",
                "TaxedTurnoverSuppliesServicesReducedTariff",
                "ValueAddedTaxSuppliesServicesReducedTariff"),
        Rubriek("1c", "Leveringen/diensten belast met overige tarieven, behalve 0%",
                "Supplies/services taxed at other rates, except 0%",
                "TaxedTurnoverSuppliesServicesOtherRates",
                "ValueAddedTaxSuppliesServicesOtherRates"),
        Rubriek("1d", "Privégebruik", "Private use",
                "TaxedTurnoverPrivateUse", "ValueAddedTaxPrivateUse"),
        Rubriek("1e", "Leveringen/diensten belast met 0% of niet bij u belast",
                "Supplies/services taxed at 0% or not taxed with you", "SuppliesServicesNotTaxed"),
    )),
    Block("2. Verleggingsregelingen binnenland", "2. Domestic reverse charge", (
        Rubriek("2a", "Leveringen/diensten waarbij de omzetbelasting naar u is verlegd",
                "Supplies/services of which the VAT is reverse-charged to you",
                "TurnoverSuppliesServicesByWhichVATTaxationIsTransferred",
                "ValueAddedTaxSuppliesServicesByWhichVATTaxationIsTransferred"),
    )),
    Block("3. Prestaties naar of in het buitenland", "3. Supplies and services to or in other"
          " countries", (
        Rubriek("3a", "Leveringen naar landen buiten de EU (uitvoer)",
                "Supplies to countries outside the EU (export)",
                "SuppliesToCountriesOutsideTheEC"),
        Rubriek("3b", "Leveringen naar of diensten in landen binnen de EU",
                "Supplies to or services in EU countries", "SuppliesToCountriesWithinTheEC"),
        Rubriek("3c", "Installatie/afstandsverkopen binnen de EU",
                "Installation/distance sales within the EU",
                "InstallationDistanceSalesWithinTheEC"),
    )),
    Block("4. Prestaties vanuit het buitenland aan u verricht", "4. Supplies and services from"
          " other countries to you", (
        Rubriek("4a", "Leveringen/diensten uit landen buiten de EU",
                "Supplies/services from countries outside the EU",
                "TurnoverFromTaxedSuppliesFromCountriesOutsideTheEC",
                "ValueAddedTaxOnSuppliesFromCountriesOutsideTheEC"),
        Rubriek("4b", "Leveringen/diensten uit landen binnen de EU",
                "Supplies/services from EU countries",
                "TurnoverFromTaxedSuppliesFromCountriesWithinTheEC",
                "ValueAddedTaxOnSuppliesFromCountriesWithinTheEC"),
    )),
    Block("5. Voorbelasting en eindtotaal", "5. Input tax and total", (
        Rubriek("5a", "Verschuldigde omzetbelasting (rubrieken 1 t/m 4)",
                "VAT owed (1 to 4)", tax=OWED),
        Rubriek("5b", "Voorbelasting", "Input tax", tax=INPUT),
        Rubriek("5d", "Vermindering volgens de kleineondernemersregeling",
                "Reduction under the small businesses scheme",
                tax="SmallEntrepreneurProvisionReduction"),
        Rubriek("5g", "Totaal te betalen of terug te vragen", "Total to pay or reclaim",
                tax=TOTAL),
    )),
    Block("Suppletie", "Correction", (
        Rubriek("", "Totaal omzetbelasting nieuw", "Total VAT, new",
                tax="ValueAddedTaxAmountTotalNew"),
        Rubriek("", "Totaal omzetbelasting oud", "Total VAT, old",
                tax="ValueAddedTaxAmountTotalOld"),
        Rubriek("", "Nog te betalen of terug te vragen", "Still to pay or reclaim",
                tax=TOTAL_EXTRA),
    )),
)  # fmt: skip
