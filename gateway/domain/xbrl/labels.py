"""Names for people, from names of concepts. There is no taxonomy here to ask."""

import re

# Where a new word begins: before a capital after a small letter or digit, before the last capital
# of a row of them that goes on in small letters, and before a row of digits.
_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])")
_NAME = re.compile(r"(?:Member|Axis|Dimension|TypedMember)$")


def english(name: str) -> str:
    """A concept's name as a phrase: "NetResultAfterTax" is "Net result after tax"."""
    words = _BREAKS.sub(" ", _NAME.sub("", name).replace("-", " ").replace("_", " ")).split()
    small = [w if w.isupper() and len(w) > 1 else w.lower() for w in words]
    return (" ".join(small)[:1].upper() + " ".join(small)[1:]) or name


def dutch(name: str) -> str:
    """The Dutch label of a common concept; of others the English phrase."""
    return DUTCH.get(name) or english(name)


#: Labels as in the annual accounts of Titel 9 Boek 2 BW and the forms of the Belastingdienst.
DUTCH = {
    # what a report is of
    "LegalEntityName": "Naam rechtspersoon",
    "LegalEntityLegalForm": "Rechtsvorm",
    "LegalEntityRegisteredOffice": "Statutaire zetel",
    "ChamberOfCommerceRegistrationNumber": "KvK-nummer",
    "BusinessNames": "Handelsnamen",
    "SbiBusinessCode": "SBI-code",
    "LegalSizeCriteriaClassification": "Grootteklasse",
    "DocumentAdoptionStatus": "Vastgesteld",
    "DocumentAdoptionDate": "Datum vaststelling",
    "DocumentResubmissionDueToUnsurmountableInaccuracies": "Gecorrigeerde jaarrekening",
    "TitleOfTheDocument": "Titel",
    "FinancialReportingPeriodCurrentStartDate": "Begin boekjaar",
    "FinancialReportingPeriodCurrentEndDate": "Einde boekjaar",
    "FinancialReportingPeriodPreviousStartDate": "Begin vorig boekjaar",
    "FinancialReportingPeriodPreviousEndDate": "Einde vorig boekjaar",
    "IncomeStatementClassificationType": "Indeling winst-en-verliesrekening",
    "BalanceSheetBeforeAfterAppropriationResults": "Balans voor of na resultaatbestemming",
    # balance sheet
    "Assets": "Totaal van activa",
    "AssetsNoncurrent": "Vaste activa",
    "AssetsCurrent": "Vlottende activa",
    "IntangibleAssets": "Immateriële vaste activa",
    "PropertyPlantEquipment": "Materiële vaste activa",
    "InvestmentProperties": "Vastgoedbeleggingen",
    "FinancialAssets": "Financiële vaste activa",
    "Inventories": "Voorraden",
    "ConstructionContractsAssets": "Onderhanden projecten",
    "Receivables": "Vorderingen",
    "TradeReceivables": "Vorderingen op handelsdebiteuren",
    "SecuritiesCurrent": "Effecten",
    "CashAndCashEquivalents": "Liquide middelen",
    "Equity": "Eigen vermogen",
    "EquityGroup": "Groepsvermogen",
    "NoncontrollingInterest": "Aandeel van derden",
    "ShareCapitalPaidCalledUp": "Gestort en opgevraagd kapitaal",
    "SharePremium": "Agio",
    "RevaluationReserve": "Herwaarderingsreserve",
    "LegalReserves": "Wettelijke reserves",
    "StatutoryReserves": "Statutaire reserves",
    "ReservesOther": "Overige reserves",
    "Provisions": "Voorzieningen",
    "LiabilitiesNoncurrent": "Langlopende schulden",
    "LiabilitiesCurrent": "Kortlopende schulden",
    "EquityAndLiabilities": "Totaal van passiva",
    # income statement
    "NetRevenue": "Netto-omzet",
    "OperatingIncome": "Som der bedrijfsopbrengsten",
    "OperatingIncomeOther": "Overige bedrijfsopbrengsten",
    "OperatingExpenses": "Som der bedrijfslasten",
    "OperatingExpensesOther": "Overige bedrijfskosten",
    "OperatingResult": "Bedrijfsresultaat",
    "CostsRawMaterialsConsumables": "Kosten van grond- en hulpstoffen",
    "EmployeeBenefitsExpenses": "Personeelskosten",
    "WagesSalaries": "Lonen",
    "SocialSecurityContributions": "Sociale lasten",
    "PensionCosts": "Pensioenlasten",
    "DepreciationPropertyPlantEquipmentAmortisationIntangibleAssets": "Afschrijvingen",
    "FinancialIncomeExpenses": "Financiële baten en lasten",
    "ResultBeforeTax": "Resultaat voor belastingen",
    "IncomeTaxExpense": "Belastingen over de winst",
    "ShareInResultsParticipatingInterests": "Aandeel in resultaat van deelnemingen",
    "ResultAfterTax": "Resultaat na belastingen",
    "NetResultAfterTax": "Nettoresultaat na belastingen",
    "AverageNumberEmployees": "Gemiddeld aantal werknemers",
    # dimensions
    "CommercialMember": "Commercieel",
    "FiscalMember": "Fiscaal",
    "SeparateMember": "Enkelvoudig",
    "ConsolidatedMember": "Geconsolideerd",
    "Declarant": "Aangever",
    "Partner": "Partner",
    "Domestic": "Binnenland",
    "Abroad": "Buitenland",
    # income tax
    "Initials": "Voorletters",
    "Surname": "Achternaam",
    "DateOfBirth": "Geboortedatum",
    "TelephoneNumber": "Telefoonnummer",
    "BusinessIncome": "Winst uit onderneming",
    "TaxableProfit": "Belastbare winst",
    "IncomeAfterPersonAttachedDeductionBox1": "Inkomen uit werk en woning (box 1)",
    "IncomeAfterPersonAttachedDeductionBox2": "Inkomen uit aanmerkelijk belang (box 2)",
    "IncomeAfterPersonAttachedDeductionBox3": "Inkomen uit sparen en beleggen (box 3)",
    "OverallIncome": "Verzamelinkomen",
    "PersonAttachedDeduction": "Persoonsgebonden aftrek",
    "SelfEmployedPersonsAllowanceAmount": "Zelfstandigenaftrek",
    "ProfitExemptionAmountSmallMediumSizedCompanies": "Mkb-winstvrijstelling",
    "PreviousWorkSpecification": "Inkomsten uit vroegere arbeid",
    # supplies to other countries of the EU
    "IntraCommunitySupplies": "Leveringen",
    "IntraCommunityServices": "Diensten",
    "IntraCommunityABCSupplies": "ABC-leveringen",
    "CountryCodeISO-EC": "Land",
    "VATIdentificationNumberNational": "Btw-identificatienummer",
    "VATIdentificationNumberNLFiscalEntityDivision": "Btw-identificatienummer onderdeel",
    "VATNumber": "Btw-identificatienummer",
    "CountryCodeEU": "Land",
    "SuppliesAmount": "Leveringen",
    "ServicesAmount": "Diensten",
    "ABCSuppliesAmount": "ABC-leveringen",
    # who sends it
    "ContactType": "Soort contactpersoon",
    "ContactInitials": "Voorletters contactpersoon",
    "ContactPrefix": "Voorvoegsel contactpersoon",
    "ContactSurname": "Achternaam contactpersoon",
    "ContactTelephoneNumber": "Telefoonnummer contactpersoon",
    "TaxConsultantNumber": "Beconnummer",
    "TaxConsultantInitials": "Voorletters belastingconsulent",
    "TaxConsultantSurname": "Achternaam belastingconsulent",
    "TaxConsultantTelephoneNumber": "Telefoonnummer belastingconsulent",
    "DateTimeCreation": "Aangemaakt op",
    "MessageReferenceSupplierVAT": "Referentie van het bericht",
    "MessageReferenceSupplierICP": "Referentie van het bericht",
    "SoftwarePackageName": "Softwarepakket",
    "SoftwarePackageVersion": "Versie van het pakket",
    "SoftwareVendorAccountNumber": "Nummer van de softwareleverancier",
    "SoftwareSupplierCode": "Code van de softwareleverancier",
    "EmailAddressContact": "E-mailadres contactpersoon",
}

#: Concepts that say who sent a report and with what, not what it reports.
SENDER = re.compile(
    r"Contact(?:Type|Initials|Prefix|Surname|TelephoneNumber)|TaxConsultant\w+|DateTimeCreation"
    r"|MessageReference\w+|Software\w+|EmailAddressContact|TaxReturnMessageType"
    r"|ProfessionalAssociationForTaxServiceProviders\w+"
)
